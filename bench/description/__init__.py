"""Bench, vehicle, channels, addresses, network, recipes and supply as checked values."""
