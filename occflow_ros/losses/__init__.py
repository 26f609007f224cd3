"""Training losses of one sample: pure functions over tensors, no state.

Those of *Let Occ Flow* need no labels; those of MonoOcc compare with true classes.

Shapes: R rays of N cameras, S samples along each, (N, h, w) the same rays on their cameras' grids.
What needs the samples is computed per ray, so that it can run chunk by chunk while rendering; what
needs neighbours or counts of rays comes after. A batch is the mean over its samples, so that one
split over processes gives the same value. All in full precision: outside autocast.
"""
