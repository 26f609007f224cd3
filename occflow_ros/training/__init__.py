"""Self-supervised training: samples, rays, the objective, and the loop around them."""
