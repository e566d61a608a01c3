"""Clock, loop, nodes, seeds, journal, fault points and records: the standard library only."""
