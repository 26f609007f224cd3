"""Occupancy and velocity labels made from LiDAR sweeps and annotated boxes."""
