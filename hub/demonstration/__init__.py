"""A county in which nothing is real: vehicles that drive, calls that come in, and a player that sends both to a hub."""
