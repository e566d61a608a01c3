"""One invariant per file: a pure function from a run's record to a verdict with evidence (faults.md, 1 to 7)."""
