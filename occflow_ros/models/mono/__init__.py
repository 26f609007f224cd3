"""MonoOcc: semantic occupancy from one camera; `mono_net` is its one screen."""
