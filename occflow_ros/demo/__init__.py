"""The demo: a drive goes through the real node over DDS and comes back as pictures and numbers."""
