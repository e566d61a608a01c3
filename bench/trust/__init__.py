"""Who may be believed: test keys, package verification, sealed VIN and session token (D7)."""
