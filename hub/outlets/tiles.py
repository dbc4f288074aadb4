"""Vector tiles for maps: `GET /tiles/{layer}/{z}/{x}/{y}.mvt`, whatever a caller may see of a layer in a square.

A tile holds every row that lies in it, one by one or counted: nothing is left out because there is much of it. Rows are
asked for as the caller, so that the policies of `schema/access.py` decide. A square that holds nothing for somebody is
the same for all: 200 with no bytes. MapLibre takes that, as protobuf does, for a tile without layers, and it can be
asked after by its ETag, which 204 could not.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import asyncpg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from geo.shapes import REGION
from hub.database.session import Sessions
from hub.identity import PUBLIC
from hub.identity.door import visit_of
from hub.outlets.refusing import refusal
from schema.errors import BadUserInput, HubError, NotFound

MEDIA = "application/vnd.mapbox-vector-tile"
DEEPEST = 22
UNITS = 4096
"""Steps across a tile, in which its features say where they are."""
CELL = 256
"""Side of the square in which points are counted together: 32 pixels where a map draws a tile 512 pixels wide."""
BUFFER = 64
"""How far lines and areas go on beyond a tile's edge, so that the cut is not seen. Points do not: each is in one."""
MOST_SINGLES = 5_000
"""From one point more on, a tile counts at any zoom."""
PACKED_FROM = 2048
"""Bytes from which on the app's GZipMiddleware packs an answer."""

_HALF = math.pi * 6378137.0
"""From the middle of EPSG:3857 to its edge, in metres."""
_PAD = 1e-6
"""Degrees by which the box that looks rows up is wider than its tile: what lies in the tile is then decided exactly."""


# -- the statements ----------------------------------------------------------------------------------------------------

_POINTS = """
with found as materialized (
  select {names}, {rank} as rank, st_transform(shape, 3857) as at
  from ({rows}) as row where shape && st_makeenvelope($1, $2, $3, $4, 4326)
), placed as materialized (
  -- Steps are counted across the whole world and rounded down: a point on an edge has one tile and one cell.
  select {names}, rank,
         floor((st_x(at) + {half!r}) * $5::float8)::bigint - $6::bigint as x,
         floor(({half!r} - st_y(at)) * $5::float8)::bigint - $7::bigint as y
  from found
), inside as materialized (
  select * from placed where x >= 0 and x < {units} and y >= 0 and y < {units}
), singly as materialized (
  select $8::boolean and count(*) <= $9::bigint as so from inside
), features as (
  select st_makepoint(x, y) as geom, 1 as count, {names} from inside where (select so from singly)
  union all
  select st_makepoint(sum(x)::bigint / count(*), sum(y)::bigint / count(*)), count(*)::integer, {alone}
  from inside where not (select so from singly) group by x / {cell}, y / {cell}
)
select coalesce(st_asmvt(t, '{name}', {units}, 'geom' order by {order}), '') as tile from features as t
"""

_SHAPES = """
with features as (
  select st_asmvtgeom(st_transform(shape, 3857), st_tileenvelope($5, $6, $7), {units}, {buffer}) as geom, {names}
  from ({rows}) as row where shape && st_makeenvelope($1, $2, $3, $4, 4326)
)
select coalesce(st_asmvt(t, '{name}', {units}, 'geom' order by t.{key}), '') as tile
from features as t where geom is not null
"""

_SIZES = {"half": _HALF, "units": UNITS, "cell": CELL, "buffer": BUFFER}


# -- layers ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Points:
    """A layer of points, which are counted together where they would be too many to tell apart."""

    name: str
    rows: str
    """SQL of the rows: each attribute, and `shape`, an indexed column in EPSG:4326. Plain enough to be looked through:
    no `distinct`, no `limit`, or the index stays unused."""
    attributes: tuple[str, ...]
    """The first is the row's key."""
    singles_from: int
    """The lowest zoom of single features."""
    worst: str = ""
    """The attribute that a cluster has too: the worst of its rows'."""
    ranks: tuple[str, ...] = ()
    """The values of `worst`, the least first."""
    public: bool = False
    """Everybody may see all of it: asked for as the public, so that any cache may keep it."""
    buffer = 0

    @cached_property
    def statement(self) -> str:
        names = ", ".join(self.attributes)
        key, rank = self.attributes[0], "null::integer"
        alone = [f"case when count(*) = 1 then (array_agg({name}))[1] end as {name}" for name in self.attributes]
        if self.worst:
            ranks = ", ".join(f"'{value}'" for value in self.ranks)
            rank = f"array_position(array[{ranks}], {self.worst})"
            alone[self.attributes.index(self.worst)] = f"(array[{ranks}])[max(rank)] as {self.worst}"
            order = f"array_position(array[{ranks}], t.{self.worst}), t.{key}, t.geom"
        else:
            order = f"t.{key}, t.geom"
        return _POINTS.format(
            name=self.name, rows=self.rows, names=names, rank=rank, alone=", ".join(alone), order=order, **_SIZES
        )

    def parameters(self, z: int, x: int, y: int, box: Sequence[float]) -> list[object]:
        units_a_metre = UNITS * 2**z / (2 * _HALF)
        return [*box, units_a_metre, x * UNITS, y * UNITS, z >= self.singles_from, MOST_SINGLES]


@dataclass(frozen=True)
class Shapes:
    """A layer of lines or areas, few enough to be drawn all of them. What is smaller than a step of the tile is not."""

    name: str
    rows: str
    attributes: tuple[str, ...]
    public: bool = False
    buffer = BUFFER

    @cached_property
    def statement(self) -> str:
        names = ", ".join(self.attributes)
        return _SHAPES.format(name=self.name, rows=self.rows, names=names, key=self.attributes[0], **_SIZES)

    def parameters(self, z: int, x: int, y: int, box: Sequence[float]) -> list[object]:
        return [*box, z, x, y]


Layer = Points | Shapes

LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        Shapes(
            "wards",
            "select id::text, code, name, boundary as shape from wards",
            ("id", "code", "name"),
            public=True,
        ),
        Points(
            "incidents",
            "select id::text, kind, severity, status, location as shape from incidents "
            "where status not in ('closed', 'rejected')",
            ("id", "kind", "severity", "status"),
            singles_from=12,
            worst="severity",
            ranks=("unknown", "minor", "moderate", "severe", "extreme"),
        ),
        Points(
            "vehicles",
            "select v.id::text, v.plate, v.kind, v.status, p.location as shape "
            "from latest_positions p join vehicles v on v.id = p.vehicle_id",
            ("id", "plate", "kind", "status"),
            singles_from=10,
        ),
        # Of two hours: a whole day of a whole fleet is `vehicle { track }`, one by one.
        Shapes(
            "tracks",
            "select v.id::text, v.plate, t.shape from vehicles v cross join lateral "
            "(select st_makeline(p.location order by p.recorded_at) as shape from positions p "
            "where p.vehicle_id = v.id and p.recorded_at > now() - interval '2 hours' and p.doubts = '{}' "
            "having count(*) > 1) t",
            ("id", "plate"),
        ),
        Shapes(
            "patrols",
            "select id::text, reference, status, route as shape from patrols where status in ('planned', 'under_way')",
            ("id", "reference", "status"),
        ),
    )
}
"""Every layer there is. One entry more is one layer more."""


# -- the door ----------------------------------------------------------------------------------------------------------


def routes() -> list[BaseRoute]:
    return [Route("/tiles/{layer}/{z}/{x}/{y}.mvt", tile, methods=["GET"], name="tile")]


async def tile(request: Request) -> Response:
    """GET /tiles/{layer}/{z}/{x}/{y}.mvt: a square of the map."""
    sessions: Sessions = request.app.state.sessions
    try:
        layer, z, x, y = _asked(request.path_params)
        box = _box(layer, z, x, y)
        if box is None:  # nothing of the county lies there, whoever asks
            return _answer(request, layer, b"")
        caller = PUBLIC if layer.public else (await visit_of(request)).caller
        (row,) = await sessions.fetch(caller, layer.statement, layer.parameters(z, x, y, box))
    except (HubError, asyncpg.PostgresError) as error:
        return refusal(error)
    return _answer(request, layer, row["tile"])


def _asked(said: dict[str, str]) -> tuple[Layer, int, int, int]:
    layer = LAYERS.get(said["layer"])
    if layer is None:
        raise NotFound(f"layer: there is none of this name; there are {', '.join(LAYERS)}.")
    z = _number("z", said["z"], DEEPEST, "")
    last, at = 2**z - 1, f" at zoom {z}"
    return layer, z, _number("x", said["x"], last, at), _number("y", said["y"], last, at)


def _number(name: str, said: str, last: int, at: str) -> int:
    """A part of the path. Digits alone, and no zero before them: a tile has one address."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,7}", said) or int(said) > last:
        raise BadUserInput(f"{name}: send a whole number from 0 to {last}{at}, in plain decimal digits.")
    return int(said)


def _box(layer: Layer, z: int, x: int, y: int) -> tuple[float, float, float, float] | None:
    """West, south, east and north of the part of a tile in which the county's rows can lie; None: there is none.

    Worked out here and not by ST_Transform, which brings what a tile's buffer has beyond 180° back on the other side.
    """
    margin = layer.buffer / UNITS
    west, east = (_longitude(at / 2**z) for at in (x - margin, x + 1 + margin))
    north, south = (_latitude(at / 2**z) for at in (y - margin, y + 1 + margin))
    box = (
        max(REGION[0], west - _PAD),
        max(REGION[1], south - _PAD),
        min(REGION[2], east + _PAD),
        min(REGION[3], north + _PAD),
    )
    return box if box[0] <= box[2] and box[1] <= box[3] else None


def _longitude(across: float) -> float:
    return across * 360 - 180


def _latitude(down: float) -> float:
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * down))))


def _answer(request: Request, layer: Layer, body: bytes) -> Response:
    digest = hashlib.sha256(body).hexdigest()[:32]
    # A strong tag names bytes, and the middleware packs these: the packed form has a tag of its own.
    packable = len(body) >= PACKED_FROM
    packed = packable and "gzip" in request.headers.get("accept-encoding", "")
    headers = {"etag": f'"{digest}-gzip"' if packed else f'"{digest}"', "content-type": MEDIA}
    vary = []
    if layer.public:
        headers["cache-control"] = "public, max-age=300"
    else:
        headers["cache-control"] = "private, no-cache"
        vary = ["Cookie", "Authorization", "X-Hub-See-As"]
    held = {
        part.strip().removeprefix("W/").strip('"').removesuffix("-gzip")
        for part in request.headers.get("if-none-match", "").split(",")
    }
    status, sent = 200, body
    if digest in held or "*" in held:
        status, sent = 304, b""
        del headers["content-type"]
        vary += ["Accept-Encoding"] if packable else []  # as the middleware says it of 200
    if vary:
        headers["vary"] = ", ".join(vary)
    return Response(sent, status, headers)
