"""Kinds of ECU as data: what a file under `fixtures/ecus/` may say."""
