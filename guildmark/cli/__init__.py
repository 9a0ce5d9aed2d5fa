"""The command line. One file a command group, loaded when it is used."""
