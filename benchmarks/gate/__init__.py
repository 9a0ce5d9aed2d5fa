"""The gate: a short run must not cost much more than the committed baseline says."""
