"""Whom the hub is measured against: what they are made of, and how they are installed and started."""
