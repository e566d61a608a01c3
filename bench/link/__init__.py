"""Carriers: simulated bus and disk, ISO-TP links, HTTP."""
