"""Networks on one machine: real node processes on free loopback ports, for development, demos and tests."""
