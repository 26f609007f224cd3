"""Training of OccFiner's first stage from recorded predictions and true classes."""
