"""Accuracy of predictions: pure functions whose counts add up over frames."""
