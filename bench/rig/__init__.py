"""Assembling a bench from its files: the only place that knows all parts."""
