"""Flask pages over a folder of reports: read only, loopback only, no script."""
