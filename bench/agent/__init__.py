"""The vehicle's agent: talks DM with the server, downloads, verifies, has the flasher install, reports."""
