"""Rigid transforms and pinhole cameras."""
