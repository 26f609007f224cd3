"""Drives on disk: recording folders, nuScenes, and the synthetic world."""
