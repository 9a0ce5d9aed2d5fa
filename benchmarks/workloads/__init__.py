"""What the accounts of a measured network do. The same seed offers the same transactions."""
