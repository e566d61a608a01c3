"""One invariant per file: a pure function from a run's record to a verdict with evidence (docs/contracts.md)."""
