"""What crosses borders as bytes: CAN frames, ISO-TP, UDS, DM messages, packages."""
