"""Photos: what an incident looked like. GraphQL says which there are; `hub/photos` takes them in and hands them out.

The bytes that somebody sent are never kept: the hub makes each photo anew from its pixels. How many an incident may
hold, and that the same file counts once, is held by the database (migration 0008).
"""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

import strawberry
from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from schema.columns import as_dated
from schema.compiler.mapping import column, computed, entity, metadata, one
from schema.compiler.nodes import Node
from schema.compiler.writes import Change
from schema.errors import CONSTRAINTS, Conflict, Forbidden
from schema.people import Person

MOST_PHOTOS = 20
"""Of one incident; the database holds it."""

photos = Table(
    "photos",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.uuidv7()),
    Column("incident_id", Uuid, ForeignKey("incidents.id", ondelete="restrict"), nullable=False),
    Column("digest", LargeBinary),
    Column("sent", LargeBinary),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("image", LargeBinary),
    Column("thumbnail", LargeBinary),
    Column("added_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("added_by", Uuid, ForeignKey("people.id", ondelete="restrict")),
    Column("erased_at", DateTime(timezone=True)),
    UniqueConstraint("incident_id", "sent"),
)


@entity(photos, order=("added_at",), history=as_dated(photos, "added_at"))
class Photo(Node):
    """A photo of an incident, made anew by the hub: upright, in sRGB, without the place, time and names in the file."""

    id: strawberry.ID = column("Key of the photo, a UUIDv7.")
    width: int = column("Width in pixels, at most 2,560.")
    height: int = column("Height in pixels, at most 2,560.")
    added_at: datetime.datetime = column("When it was added.")
    added_by: Person | None = one(
        "Who added it, where you may see them.", lambda photo, person: person.id == photo.added_by
    )

    @computed
    def url(photo: Any) -> str:
        """Path of the photo on this hub, a JPEG; asked for with the same token or cookie."""
        return _path(photo)

    @computed
    def thumbnail_url(photo: Any) -> str:
        """Path of the photo with no side over 320 pixels."""
        return _path(photo).op("||")(literal_column("'/thumbnail'", Text))


def _path(photo: Any) -> Any:
    return literal_column("'/photos/'", Text).op("||")(cast(photo.id, Text))


# -- writes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Developed:
    """A photo as the hub made it."""

    width: int
    height: int
    image: bytes
    thumbnail: bytes


@dataclass(frozen=True)
class Stored:
    """A photo that is there."""

    id: str
    width: int
    height: int


async def stored(change: Change, incident_id: uuid.UUID, sent: bytes) -> Stored | None:
    """The photo of an incident that was made from this file."""
    shown = (photos.c.id, photos.c.width, photos.c.height)
    found = await change.rows(select(*shown).where(photos.c.incident_id == incident_id, photos.c.sent == sent))
    return Stored(str(found[0]["id"]), found[0]["width"], found[0]["height"]) if found else None


async def count(change: Change, incident_id: uuid.UUID) -> int:
    """How many photos an incident holds."""
    held = select(func.count().label("held")).where(photos.c.incident_id == incident_id, photos.c.erased_at.is_(None))
    return int((await change.rows(held))[0]["held"])


async def add(
    change: Change, incident_id: uuid.UUID, sent: bytes, digest: bytes, photo: Developed
) -> tuple[Stored, bool]:
    """Add a photo to an incident; and whether it is new, or somebody sent the same file meanwhile."""
    values = {
        "incident_id": incident_id,
        "sent": sent,
        "digest": digest,
        "width": photo.width,
        "height": photo.height,
        "image": photo.image,
        "thumbnail": photo.thumbnail,
        "added_by": uuid.UUID(change.person) if change.person else None,
    }
    statement = insert(photos).values(**values).on_conflict_do_nothing(index_elements=["incident_id", "sent"])
    made = await change.rows(statement.returning(photos.c.id))
    if made:
        return Stored(str(made[0]["id"]), photo.width, photo.height), True
    there = await stored(change, incident_id, sent)
    assert there is not None
    return there, False


FULL = f"The incident holds {MOST_PHOTOS} photos already: no more are taken."

CONSTRAINTS.update(
    {
        "photos_most": (Conflict, FULL),
        "photos_final": (Forbidden, "A photo is never changed."),
    }
)

ROOTS: tuple[Any, ...] = ()
"""Photos are asked for by their incident."""
