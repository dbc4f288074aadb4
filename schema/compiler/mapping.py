"""What an entity is made of: its table, and which field reads which column, relation or expression."""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData()
"""Every table of the hub, declared beside its type in `schema/<domain>.py`; migrations are proven equal to it."""
