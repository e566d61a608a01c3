"""The process around the command line: its signals, and its standard output and error."""
