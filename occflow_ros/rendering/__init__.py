"""Differentiable volume rendering: pure functions over callables and tensors (section B.5)."""
