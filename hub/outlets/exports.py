"""Files of a layer: `GET /export/{layer}.{format}`, whatever a caller may see of it, row after row.

`?where=` takes the API's filter as JSON and `?orderBy=` its order; `?first=` ends after so many rows. Nothing is held
but a few thousand rows at a time, however many there are. What fails on the way breaks the connection off, so that a
file that is not whole cannot be taken for one that is.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol

import asyncpg
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from hub.database.session import Sessions
from hub.identity.door import visit_of
from hub.outlets.refusing import refusal
from schema.api import schema
from schema.compiler.exporting import SEPARATOR, Column, Form, Kind, Layer, exported
from schema.errors import BadUserInput, HubError, NotFound
from schema.layers import LAYERS

AT_ONCE = 10_000
"""Rows that are read, and held, at a time."""
MOST_WHERE = 32 * 1024
"""Letters of a filter or an order."""

CRS84 = '{"crs":"OGC:CRS84","crs_type":"authority_code"}'
"""Longitude first, as GeoArrow and GeoParquet mean EPSG:4326."""


class Writer(Protocol):
    """Makes a file's bytes of rows, some at a time."""

    def begin(self) -> bytes: ...

    def rows(self, rows: Sequence[asyncpg.Record]) -> bytes: ...

    def end(self) -> bytes: ...


# -- the door ----------------------------------------------------------------------------------------------------------


def routes() -> list[BaseRoute]:
    return [Route("/export/{layer}.{format}", export, methods=["GET"], name="export")]


async def export(request: Request) -> Response:
    """GET /export/{layer}.{format}: a layer as a file."""
    sessions: Sessions = request.app.state.exporting
    try:
        layer = LAYERS.get(request.path_params["layer"])
        if layer is None:
            raise NotFound(f"layer: there is none of this name; there are {', '.join(LAYERS)}.")
        name = request.path_params["format"]
        if name not in FORMATS:
            raise NotFound(f"format: there is none of this name; there are {', '.join(FORMATS)}.")
        form, media, make = FORMATS[name]
        asked = _asked(request)
        variables = {part: value for part, value in asked.items() if part != "first"}
        statement = exported(schema, layer, variables, request.app.state.settings.limits, form, asked.get("first"))
        caller = (await visit_of(request)).caller
        told = {"layer": layer.name, **asked, "time": datetime.now(UTC).isoformat(), "hub": version("kisumu-hub")}
        # The first rows are read before the answer begins: what is refused is refused in words.
        made = _made(make(layer, told), sessions.stream(caller, *statement, AT_ONCE))
        first = await anext(made)
    except (HubError, GraphQLError, asyncpg.PostgresError) as error:
        return refusal(error)
    head = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="{layer.name}.{name}"',
    }
    return StreamingResponse(_followed(first, made), media_type=media, headers=head)


def _asked(request: Request) -> dict[str, Any]:
    """What the address says beside the layer. Raises BadUserInput, naming the parameter."""
    given = request.query_params
    if unknown := set(given) - {"where", "orderBy", "first"}:
        raise BadUserInput(f"{min(unknown)}: no such parameter; there are where, orderBy and first.")
    asked: dict[str, Any] = {}
    for name, like in (("where", '{"kind":{"eq":"FLOOD"}}'), ("orderBy", '[{"reportedAt":"DESC"}]')):
        if name not in given:
            continue
        said = given[name]
        if len(said) > MOST_WHERE:
            raise BadUserInput(f"{name}: it has {len(said):,} letters; at most {MOST_WHERE:,} are taken.")
        try:
            asked[name] = json.loads(said)
        except (ValueError, RecursionError) as error:
            raise BadUserInput(f"{name}: send JSON, such as {like}.") from error
    if "first" in given:
        if not re.fullmatch(r"[0-9]{1,9}", given["first"]):
            raise BadUserInput("first: send a whole number of rows, from 0.")
        asked["first"] = int(given["first"])
    return asked


async def _made(writer: Writer, chunks: AsyncIterator[Sequence[asyncpg.Record]]) -> AsyncIterator[bytes]:
    begun = await asyncio.to_thread(writer.begin)
    async with aclosing(chunks) as read:  # type: ignore[type-var]
        async for rows in read:
            # In a thread: open maps wait for the loop meanwhile.
            made = begun + await asyncio.to_thread(writer.rows, rows)
            begun = b""
            if made:
                yield made
    yield begun + await asyncio.to_thread(writer.end)


async def _followed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest) as pieces:  # type: ignore[type-var]
        yield first
        async for piece in pieces:
            yield piece


# -- formats -----------------------------------------------------------------------------------------------------------


class GeoJSON:
    """RFC 7946: a FeatureCollection, a feature a line."""

    def __init__(self, layer: Layer, told: dict[str, Any]) -> None:
        self._told = told
        self._begun = False

    def begin(self) -> bytes:
        return b'{"type":"FeatureCollection","hub":' + json.dumps(self._told).encode() + b',"features":[\n'

    def rows(self, rows: Sequence[asyncpg.Record]) -> bytes:
        made = ",\n".join(row[0] for row in rows).encode()
        if self._begun and made:
            made = b",\n" + made
        self._begun = self._begun or bool(made)
        return made

    def end(self) -> bytes:
        return b"\n]}\n"


class Csv:
    """RFC 4180 in UTF-8, with the shape as WKT. What a spreadsheet would take for a formula has a `'` before it."""

    def __init__(self, layer: Layer, told: dict[str, Any]) -> None:
        self._columns = layer.columns
        self._texts = [column.kind in (Kind.TEXT, Kind.KEY, Kind.WORDS) for column in layer.columns]

    def begin(self) -> bytes:
        return self._lines([[column.name for column in self._columns]])

    def rows(self, rows: Sequence[asyncpg.Record]) -> bytes:
        return self._lines(
            [_harmless(value) if text else value for value, text in zip(row, self._texts, strict=True)] for row in rows
        )

    def end(self) -> bytes:
        return b""

    @staticmethod
    def _lines(rows: Any) -> bytes:
        out = io.StringIO()
        csv.writer(out).writerows(rows)
        return out.getvalue().encode()


def _harmless(text: str | None) -> str | None:
    return f"'{text}" if text and text[0] in "=+-@\t\r" else text


class _Columnar:
    """What Arrow and Parquet have in common: the schema, and rows as a batch of columns."""

    def __init__(self, layer: Layer, told: dict[str, Any]) -> None:
        # Only whoever exports pays for it: it takes 60 MB.
        import pyarrow

        self._pa = pyarrow
        self._out = _Sink()
        self._packed = layer.packed
        fields = [
            pyarrow.field(column.name, self._type(column.kind), metadata=self._field(column))
            for column in layer.columns
        ]
        self._schema = pyarrow.schema(fields, metadata={"hub": json.dumps(told), **self.metadata()})

    def metadata(self) -> dict[str, str]:
        return {}

    def _field(self, column: Column) -> dict[str, str]:
        said = {"description": column.description}
        if column.kind is Kind.GEOMETRY:
            said |= {"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": CRS84}
        return said

    def _type(self, kind: Kind) -> Any:
        pa = self._pa
        return {
            Kind.INTEGER: pa.int64(),
            Kind.NUMBER: pa.float64(),
            Kind.BOOLEAN: pa.bool_(),
            Kind.MOMENT: pa.timestamp("us", "UTC"),
            Kind.DAY: pa.date32(),
            Kind.GEOMETRY: pa.binary(),
        }.get(kind, pa.string())

    def _batch(self, rows: Sequence[asyncpg.Record]) -> Any:
        pa = self._pa
        packed, *others = list(zip(*rows, strict=True)) if rows else [()] * (len(self._schema) - len(self._packed) + 1)
        apart = self._apart(pa.array(packed, pa.string()))
        arrays = []
        for at, field in enumerate(self._schema):
            if at in self._packed:
                arrays.append(apart[self._packed.index(at)])
                continue
            values = others.pop(0)
            if pa.types.is_timestamp(field.type):
                arrays.append(pa.array(values, pa.int64()).cast(field.type))
            elif pa.types.is_date32(field.type):
                arrays.append(pa.array(values, pa.int32()).cast(field.type))
            else:
                arrays.append(pa.array(values, field.type))
        return pa.record_batch(arrays, schema=self._schema)

    def _apart(self, packed: Any) -> list[Any]:
        """The columns of what was packed: split all at once, then every so manieth."""
        import numpy
        import pyarrow.compute as compute

        parts = compute.split_pattern(packed, SEPARATOR).flatten()
        many = len(self._packed)
        columns = [parts.take(self._pa.array(numpy.arange(at, len(parts), many))) for at in range(many)]
        nothing = self._pa.scalar(None, self._pa.string())
        return [compute.if_else(compute.equal(column, ""), nothing, column) for column in columns]


class Arrow(_Columnar):
    """An Arrow IPC stream, its geometry as GeoArrow WKB."""

    def begin(self) -> bytes:
        self._writer = self._pa.ipc.new_stream(self._out, self._schema)
        return self._out.taken()

    def rows(self, rows: Sequence[asyncpg.Record]) -> bytes:
        self._writer.write_batch(self._batch(rows))
        return self._out.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._out.taken()


class Parquet(_Columnar):
    """GeoParquet 1.1, a row group for every ten thousand rows."""

    def metadata(self) -> dict[str, str]:
        column = {"encoding": "WKB", "geometry_types": []}
        return {"geo": json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}})}

    def begin(self) -> bytes:
        import pyarrow.parquet

        self._writer = pyarrow.parquet.ParquetWriter(self._out, self._schema, compression="zstd")
        return self._out.taken()

    def rows(self, rows: Sequence[asyncpg.Record]) -> bytes:
        self._writer.write_batch(self._batch(rows))
        return self._out.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._out.taken()


class _Sink(io.RawIOBase):
    """A file that is taken away as it is written."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._told = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._told += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._told

    def taken(self) -> bytes:
        made, self._pieces = b"".join(self._pieces), []
        return made


FORMATS: dict[str, tuple[Form, str, Callable[[Layer, dict[str, Any]], Writer]]] = {
    "arrow": (Form.BINARY, "application/vnd.apache.arrow.stream", Arrow),
    "parquet": (Form.BINARY, "application/vnd.apache.parquet", Parquet),
    "geojson": (Form.FEATURE, "application/geo+json", GeoJSON),
    "csv": (Form.TEXT, "text/csv; charset=utf-8", Csv),
}
"""Every format there is: how values leave the database, the media type, and what makes the file."""
