"""Pictures of occupancy and flow, drawn with NumPy and OpenCV: no display, no GPU needed.

Images are (H, W, 3) uint8 RGB.
"""
