"""The ports (D6): what parts ask of each other, as small Protocols that speak values; one file a kind."""
