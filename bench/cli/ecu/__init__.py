"""`otabench ecu`: simulated ECUs on CAN adapters of this machine."""
