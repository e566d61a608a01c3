"""Faults: the catalogue (class, events, parameters) and what injects them at their points."""
