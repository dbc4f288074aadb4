"""How fast the hub is, beside others on the same rows: `make bench`."""
