"""Sampling operators of the network, in readable PyTorch."""
