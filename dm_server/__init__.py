"""The DM server: OMA DM 2.0 in JSON over HTTPS, with an append-only event log per vehicle (D8)."""
