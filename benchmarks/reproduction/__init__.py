"""Does it come out again? The same configuration and seed, run here, and which figures agree."""
