"""Training of MonoOcc: samples with true classes, and what is learned from them."""
