"""Vector tiles for maps: `GET /tiles/{layer}/{z}/{x}/{y}.mvt`, whatever a caller may see of a layer in a square.

A tile holds every row that lies in it, one by one or counted: nothing is left out because there is much of it. Rows are
asked for as the caller, so that the policies of `schema/access.py` decide. A square that holds nothing for somebody is
the same for all: 200 with no bytes. MapLibre takes that, as protobuf does, for a tile without layers, and it can be
asked after by its ETag, which 204 could not. What was made is kept for as long as it holds (hub/keeping.py).
"""

from __future__ import annotations

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
from hub.keeping import Keeper
from hub.outlets.kept_tile import Tile
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
"""Bytes from which on an answer is packed: a tile here, everything else by the app's GZipMiddleware."""

NOTHING = Tile.of(b"")

_PAD = 1e-6
"""Degrees by which the box that looks rows up is wider than its tile: what lies in the tile is then decided exactly."""


# -- the statements ----------------------------------------------------------------------------------------------------

# Steps are counted across the world and rounded down: a point on an edge has one tile and one cell. By the formulas
# of EPSG:3857, which take a part of ST_Transform's time. `offset 0`: what follows works a row out once, not anew for
# each place where it is used.
_PLACED = """
  select *, (floor((lon + 180) * $5::float8) - $6::float8)::integer as x,
         (floor((1 - asinh(tan(angle)) / pi()) * (180 * $5::float8)) - $7::float8)::integer as y
  from (
    select {columns}, {rank} as rank, st_x(shape) as lon, st_y(shape) as lat,
           -- Of next to nothing PostgreSQL would say that it is out of range.
           radians(case when abs(st_y(shape)) > 1e-12 then st_y(shape) else 0 end) as angle
    from ({rows}) as row where shape && st_makeenvelope($1, $2, $3, $4, 4326) offset 0
  ) as found offset 0
"""
# In a CASE, of which the planner thinks nothing: from four comparisons it would conclude that one row is left, and sort
# millions of them to count a few hundred cells.
_WITHIN = "case when x >= 0 and x < {units} and y >= 0 and y < {units} then true else false end"

_POINTS = """
with inside as materialized (
  select * from ({placed}) as placed where {within}
), singly as materialized (
  select count(*) <= $8::bigint as so from inside
), features as (
  select st_makepoint(x, y) as geom, 1 as count, {names} from inside where (select so from singly)
  union all
  select st_makepoint(sum(x) / count(*), sum(y) / count(*)), count(*)::integer, {alone}
  from inside where not (select so from singly) group by x / {cell}, y / {cell}
)
select coalesce(st_asmvt(t, '{name}', {units}, 'geom' order by {order}), '') as tile from features as t
"""

# Tens of thousands of rows for some dozen features: a row is its place and its rank until it is known to be alone. Then
# it is looked up (`limit`: for each such cell by itself, not all rows beside all cells).
_COUNTS = """
with cells as materialized (
  select sum(x) / count(*) as x, sum(y) / count(*) as y, count(*)::integer as count, max(rank) as rank,
         min(lon) as lon, min(lat) as lat
  from ({placed}) as placed where {within} group by x / {cell}, y / {cell}
), features as (
  select st_makepoint(c.x, c.y) as geom, c.count, {lone}
  from cells as c left join lateral (
    select * from ({rows}) as row where c.count = 1
      and shape && st_makeenvelope($1, $2, $3, $4, 4326) and shape && st_setsrid(st_makepoint(c.lon, c.lat), 4326)
      and st_x(shape) = c.lon and st_y(shape) = c.lat
    limit 1
  ) as one on true
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

_SIZES = {"units": UNITS, "cell": CELL, "buffer": BUFFER}


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
    tables: tuple[str, ...] = ()
    """Every table that the rows come from; each is stamped (migration 0018). None: its tiles are not kept, because they
    change with the hour, or so often that to keep them is not worth a stamp."""
    buffer = 0

    def statement(self, z: int) -> str:
        return self._counts if z < self.singles_from else self._points

    @cached_property
    def _points(self) -> str:
        alone = [f"case when count(*) = 1 then (array_agg({name}))[1] end as {name}" for name in self.attributes]
        if self.worst:
            alone[self.attributes.index(self.worst)] = f"({self._ranks})[max(rank)] as {self.worst}"
        names = ", ".join(self.attributes)
        return self._written(_POINTS, columns=names, names=names, alone=", ".join(alone))

    @cached_property
    def _counts(self) -> str:
        lone = [
            f"({self._ranks})[c.rank] as {name}" if name == self.worst else f"one.{name}" for name in self.attributes
        ]
        # Of the columns the worst alone is read, for the rank.
        return self._written(_COUNTS, columns=self.worst or "null", lone=", ".join(lone))

    @property
    def _ranks(self) -> str:
        return f"array[{', '.join(repr(value) for value in self.ranks)}]"

    def _written(self, statement: str, *, columns: str, **parts: str) -> str:
        key, rank, order = self.attributes[0], "null::integer", ""
        if self.worst:
            cases = " ".join(f"when '{value}' then {number}" for number, value in enumerate(self.ranks, 1))
            rank, order = f"case {self.worst} {cases} end", f"array_position({self._ranks}, t.{self.worst}), "
        order += f"t.{key}, t.geom"
        placed = _PLACED.format(rows=self.rows, columns=columns, rank=rank)
        within = _WITHIN.format(**_SIZES)
        return statement.format(
            name=self.name, rows=self.rows, placed=placed, within=within, order=order, **parts, **_SIZES
        )

    def parameters(self, z: int, x: int, y: int, box: Sequence[float]) -> list[object]:
        steps_a_degree = UNITS * 2**z / 360
        place = [*box, steps_a_degree, float(x * UNITS), float(y * UNITS)]
        return place if z < self.singles_from else [*place, MOST_SINGLES]


@dataclass(frozen=True)
class Shapes:
    """A layer of lines or areas, few enough to be drawn all of them. What is smaller than a step of the tile is not."""

    name: str
    rows: str
    attributes: tuple[str, ...]
    public: bool = False
    tables: tuple[str, ...] = ()
    buffer = BUFFER

    def statement(self, z: int) -> str:
        return self._shapes

    @cached_property
    def _shapes(self) -> str:
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
            tables=("wards",),
        ),
        Points(
            "incidents",
            "select id::text, kind, severity, status, location as shape from incidents "
            "where status not in ('closed', 'rejected')",
            ("id", "kind", "severity", "status"),
            singles_from=12,
            worst="severity",
            ranks=("unknown", "minor", "moderate", "severe", "extreme"),
            tables=("incidents",),
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
            tables=("patrols",),
        ),
    )
}
"""Every layer there is. One entry more is one layer more."""

STAMPED = tuple(sorted({table for layer in LAYERS.values() for table in layer.tables}))
"""The tables by which kept tiles are told to hold."""


# -- the door ----------------------------------------------------------------------------------------------------------


def routes() -> list[BaseRoute]:
    return [Route("/tiles/{layer}/{z}/{x}/{y}.mvt", tile, methods=["GET"], name="tile")]


async def tile(request: Request) -> Response:
    """GET /tiles/{layer}/{z}/{x}/{y}.mvt: a square of the map."""
    sessions: Sessions = request.app.state.sessions
    keeper: Keeper[Tile] = request.app.state.tiles
    try:
        layer, z, x, y = _asked(request.path_params)
        box = _box(layer, z, x, y)
        if box is None:  # nothing of the county lies there, whoever asks
            return await _answer(request, layer, NOTHING)
        caller = PUBLIC if layer.public else (await visit_of(request)).caller
        parameters = layer.parameters(z, x, y, box)

        async def make() -> Tile:
            (row,) = await sessions.fetch(caller, layer.statement(z), parameters)
            return Tile.of(bytes(row["tile"]))

        made = await keeper.kept(layer.name, layer.tables, (z, *parameters), caller, make)
    except (HubError, asyncpg.PostgresError) as error:
        return refusal(error)
    return await _answer(request, layer, made)


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


async def _answer(request: Request, layer: Layer, tile: Tile) -> Response:
    # A strong tag names bytes: the packed form has a tag of its own.
    packable = len(tile.body) >= PACKED_FROM
    packed = packable and "gzip" in request.headers.get("accept-encoding", "")
    headers = {"etag": f'"{tile.digest}-gzip"' if packed else f'"{tile.digest}"'}
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
    status, sent = 200, tile.body
    if tile.digest in held or "*" in held:
        status, sent = 304, b""
        vary += ["Accept-Encoding"] if packable else []  # as the middleware says it of 200
    else:
        headers["content-type"] = MEDIA
        if packed:
            # Here and not by the middleware, which would do it each time.
            sent = await tile.gzip()
            headers["content-encoding"] = "gzip"
            vary += ["Accept-Encoding"]
    if vary:
        headers["vary"] = ", ".join(vary)
    return Response(sent, status, headers)
