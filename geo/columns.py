"""Geometry columns as the county keeps them: WGS 84 longitude and latitude (EPSG:4326), two dimensions."""

from __future__ import annotations

from geoalchemy2 import Geometry
from sqlalchemy import Column

SRID = 4326


def geometry(name: str, shape: str, *, nullable: bool = False) -> Column[str]:
    """A column of `shape` (`POINT`, `MULTIPOLYGON`, …). Its GiST index stands in the migration, not here."""
    return Column(name, Geometry(shape, srid=SRID, spatial_index=False), nullable=nullable)
