"""Two signed messages of one replica that contradict each other."""
