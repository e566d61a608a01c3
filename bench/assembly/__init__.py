"""Makes the parts of a bench from its description: channels, drivers, transports, vehicle, images, servers."""
