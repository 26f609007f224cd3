"""Depth of images, estimated: rendered from our own fields, by other networks, or from files."""
