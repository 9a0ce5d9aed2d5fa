"""Who offers the load: a process of its own, so that what it costs can be told apart."""
