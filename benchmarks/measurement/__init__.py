"""What is read off a machine, its processes and the nodes' own events."""
