"""The reference flasher: recipe, UDS client, tester present, and the sequence that programs one ECU."""
