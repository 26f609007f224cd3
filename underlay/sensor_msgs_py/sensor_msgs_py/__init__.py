"""Helpers for sensor_msgs messages."""
