"""Firmware files of every kind become one memory image; images get a signed header."""
