"""Scenarios and runs: golden run, faults at their points, verdict, replay."""
