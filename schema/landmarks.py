"""Landmarks: what people name when they call."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import Column, ForeignKey, Integer, Table, Text, Uuid, func

from geo.columns import geometry
from geo.sql import covers
from schema.areas import Source, Ward
from schema.compiler.mapping import column, entity, metadata, one, rows
from schema.compiler.nodes import Node
from schema.scalars import GeoJSON

landmarks = Table(
    "landmarks",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.uuidv7()),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    geometry("location", "POINT"),
    Column("accuracy_meters", Integer, nullable=False),
    Column("source_id", Uuid, ForeignKey("sources.id", ondelete="restrict"), nullable=False),
)


@strawberry.enum(description="What a landmark is.")
class LandmarkKind(Enum):
    TOWN = strawberry.enum_value("town", description="A town or trading centre.")
    MARKET = strawberry.enum_value("market", description="A market.")
    HOSPITAL = strawberry.enum_value("hospital", description="A hospital.")
    BEACH = strawberry.enum_value("beach", description="A landing beach of the lake.")
    PORT = strawberry.enum_value("port", description="A port or pier.")
    AIRPORT = strawberry.enum_value("airport", description="An airport.")
    BRIDGE = strawberry.enum_value("bridge", description="A bridge.")
    JUNCTION = strawberry.enum_value("junction", description="A junction, roundabout or stage.")
    STADIUM = strawberry.enum_value("stadium", description="A stadium.")
    SCHOOL = strawberry.enum_value("school", description="A school or university.")
    FACTORY = strawberry.enum_value("factory", description="A factory.")


@entity(landmarks, order=("name",), lasting=True)
class Landmark(Node):
    """A place that people name when they report something. About where it is, not surveyed."""

    id: strawberry.ID = column("Key of the landmark, a UUIDv7: `reportIncident` takes it as the place.")
    name: str = column("As people say it.")
    kind: LandmarkKind = column("What it is.")
    location: GeoJSON = column("About where, a Point.")
    accuracy_meters: int = column("How far off it may be, in metres.")
    ward: Ward | None = one(
        "The ward that it lies in today; null on the lake.",
        lambda landmark, ward: covers(ward.boundary, landmark.location),
    )
    source: Source = one("Who says so.", lambda landmark, source: source.id == landmark.source_id)


@strawberry.type(description="A landmark, and how far it is.")
class NearestLandmark:
    distance_meters: float = strawberry.field(description="Metres to it, in a straight line.")
    landmark: Landmark = strawberry.field(description="The landmark.")


@rows(Landmark)
def landmarks_(landmark: Any) -> None:
    """Well-known places of the county, by name."""


ROOTS = (landmarks_,)
