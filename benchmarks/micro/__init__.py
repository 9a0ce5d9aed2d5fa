"""Costs of single steps, printed as ratios to one signature verification."""
