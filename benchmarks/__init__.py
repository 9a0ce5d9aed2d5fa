"""Measuring the node."""
