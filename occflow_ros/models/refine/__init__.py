"""Stages of OccFiner's multi-to-multi local propagation network (section 3.2)."""
