"""Content-addressed bytes: cut into blocks, kept on disk, known to be complete. Has never heard of a chain."""
