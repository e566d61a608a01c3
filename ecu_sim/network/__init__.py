"""The ECU on its buses: cyclic frames, network management, partners, routes."""
