"""`otabench flash`: the flasher alone, without server and agent."""
