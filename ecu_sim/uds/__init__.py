"""The diagnostic server (ISO 14229-1, -2) and what each service does."""
