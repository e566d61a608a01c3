"""A simulated ECU on an adapter of this machine, its demonstration software and its pictures."""
