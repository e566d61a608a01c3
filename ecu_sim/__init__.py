"""Simulated ECUs: memory that tears, a boot manager and a bootloader that refuse, UDS servers (D3)."""
