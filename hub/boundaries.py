"""`hub load areas FILE`: official outlines, looked at against what the hub holds before any of it is written.

A file is whatever GDAL reads: Shapefile, GeoPackage, GeoJSON, File Geodatabase, zipped or not, in any reference system.
Columns of the common sources (OCHA's COD-AB, IEBC) are known by their names. What is loaded stands beside what is
followed; `hub boundaries use` chooses, and chooses back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import shapely
from psycopg import sql
from psycopg.rows import dict_row
from shapely.geometry.base import BaseGeometry

from geo.boundaries import area_km2, joined, label_point, multipolygon
from hub.loading import CannotLoad

Level = Literal["ward", "sub_county"]

KNOWN: Final[dict[Level, dict[str, tuple[str, ...]]]] = {
    "ward": {
        "name": ("adm3_en", "adm3_name", "county_a_1", "ward", "ward_name", "name"),
        "code": ("adm3_pcode", "county_ass", "wardcode", "ward_code", "code"),
        "parent": ("adm2_en", "adm2_name", "constituen", "const", "constituency", "sub_county", "sub_county_name"),
        "county": ("adm1_en", "adm1_name", "county_nam", "county", "county_name"),
    },
    "sub_county": {
        "name": ("adm2_en", "adm2_name", "constituen", "const", "constituency", "sub_county", "name"),
        "code": ("adm2_pcode", "const_code", "constcode", "code"),
        "parent": ("adm1_en", "adm1_name", "county_nam", "county"),
        "county": ("adm1_en", "adm1_name", "county_nam", "county"),
    },
}
"""Columns of COD-AB (both cases, old and new names) and of IEBC's files, by what they hold. The first that is there
counts."""

MOST_FEATURES: Final = 20_000
SEEN_KM2: Final = 0.01
"""Overlaps, gaps and lake water below a hectare are no findings."""
AREA_OFF: Final = 0.1
"""How far a land area may lie from the gazetted one, as a part of it."""


@dataclass(frozen=True)
class Unit:
    """A unit as the hub holds it."""

    id: Any
    code: str
    name: str
    aliases: tuple[str, ...]
    parent: str
    gazetted_km2: float
    shape: BaseGeometry


@dataclass
class Drawn:
    """A unit's outline in the file."""

    row: int
    said: str
    code: str | None
    parent: str | None
    shape: BaseGeometry
    flaw: str | None = None
    """Why the shape as it came was no valid one."""


@dataclass
class Report:
    """What a file says, beside what the hub holds."""

    columns: dict[str, str]
    crs: str
    matched: dict[str, Drawn] = field(default_factory=dict)
    """By the unit's code."""
    how: dict[str, str] = field(default_factory=dict)
    """By what each was matched: code, name, alias, guess."""
    notes: list[str] = field(default_factory=list)
    """Findings that one should know."""
    doubts: list[str] = field(default_factory=list)
    """Findings that somebody must have looked at before anything is written."""
    wrong: list[str] = field(default_factory=list)
    """What cannot be written at all."""


# -- reading -----------------------------------------------------------------------------------------------------------


def read(
    path: Path, level: Level, given: dict[str, str], county: str, connection: psycopg.Connection[Any], layer: str | None
) -> tuple[dict[str, str], str, list[Drawn], int]:
    """The county's features of a file in WGS 84: which columns were taken, the file's reference system, the features,
    and how many others there were. Raises CannotLoad."""
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        meta, _, wkb, values = pyogrio.raw.read(path, layer=layer, force_2d=True)
    except (DataSourceError, DataLayerError) as error:
        raise CannotLoad(f"{path}: GDAL cannot read it: {error}") from error
    names = [str(name) for name in meta["fields"]]
    columns = _columns(names, level, given, path)
    crs = meta["crs"]
    if not crs:
        raise CannotLoad(f"{path} does not say its reference system: for a Shapefile its .prj is missing.")
    if wkb is None or len(wkb) == 0:
        raise CannotLoad(f"{path} has no shapes.")
    if len(wkb) > MOST_FEATURES:
        raise CannotLoad(f"{path} has {len(wkb):,} features; at most {MOST_FEATURES:,} are read.")

    def said(what: str, row: int) -> str | None:
        value = values[names.index(columns[what])][row] if what in columns else None
        text = "" if value is None else str(value).strip()
        return re.sub(r"\.0$", "", text) or None

    ours = [row for row in range(len(wkb)) if "county" not in columns or plain(said("county", row) or "") == county]
    if not ours:
        raise CannotLoad(f"{path}: no feature's {columns['county']} is {county.title()}.")
    shapes = _in_degrees(connection, [wkb[row] for row in ours], str(crs), path)
    found = []
    for row, shape in zip(ours, shapes, strict=True):
        name = said("name", row)
        if name is None:
            raise CannotLoad(f"{path}, feature {row + 1}: {columns['name']} is empty.")
        drawn = Drawn(row + 1, name, said("code", row), said("parent", row), shape)
        if shape is None or shape.is_empty:
            drawn.shape, drawn.flaw = multipolygon(shapely.Polygon()), "there is no shape"
        elif not shape.is_valid:
            drawn.flaw = str(shapely.is_valid_reason(shape))
            drawn.shape = multipolygon(shapely.make_valid(shape))
        else:
            drawn.shape = multipolygon(shape)
        found.append(drawn)
    return columns, str(crs), found, len(wkb) - len(ours)


def _columns(names: list[str], level: Level, given: dict[str, str], path: Path) -> dict[str, str]:
    by_small = {name.lower(): name for name in names}
    columns = {}
    for what, candidates in KNOWN[level].items():
        if what in given:
            if given[what] not in names:
                close = get_close_matches(given[what], names, 1)
                raise CannotLoad(
                    f"--columns {what}={given[what]}: {path} has no such column"
                    + (f": {close[0]} is meant?" if close else f"; it has {', '.join(names) or 'none'}.")
                )
            columns[what] = given[what]
        elif known := next((by_small[each] for each in candidates if each in by_small), None):
            columns[what] = known
    if "name" not in columns:
        raise CannotLoad(
            f"{path}: none of its columns ({', '.join(names) or 'it has none'}) is known to hold a {level}'s name: "
            "say --columns name=…"
        )
    return columns


def _in_degrees(connection: psycopg.Connection[Any], shapes: list[Any], crs: str, path: Path) -> list[Any]:
    """Shapes in WGS 84, by PostGIS and its PROJ."""
    code = re.fullmatch(r"EPSG:(\d+)", crs)
    source = "st_setsrid(s.shape, %(code)s), 4326" if code else "s.shape, %(crs)s, 4326"
    if code and code[1] == "4326":
        return list(shapely.from_wkb(shapes))
    try:
        rows = connection.execute(
            # Of two forms of our own; what the file says is bound.
            f"select st_asbinary(st_transform({source})) from unnest(%(shapes)s::bytea[]) with ordinality u (wkb, at), "  # noqa: S608
            "lateral (select st_geomfromwkb(u.wkb) as shape) s order by u.at".encode(),
            {"code": int(code[1]) if code else None, "crs": crs, "shapes": [bytes(shape) for shape in shapes]},
        ).fetchall()
    except psycopg.Error as error:
        raise CannotLoad(f"{path}: its reference system {crs[:80]} cannot be turned into degrees: {error}") from error
    return [shapely.from_wkb(row[0]) if row[0] else None for row in rows]


# -- looking -----------------------------------------------------------------------------------------------------------


def plain(name: str) -> str:
    """A name without what spellings differ in: `Kabonyo/Kanyagwal` and `KABONYO KANYAGWAL` are one."""
    return re.sub(r"[^a-z0-9]+", " ", name.lower().replace("'", "")).strip()


def units(connection: psycopg.Connection[Any], level: Level) -> list[Unit]:
    table, above, key = ("wards", "sub_counties", "sub_county_id") if level == "ward" else (
        "sub_counties", "counties", "county_id",
    )  # fmt: skip
    rows = connection.cursor(row_factory=dict_row).execute(
        f"select u.id, u.code, u.name, u.aliases, p.name as parent, u.area_km2, st_asbinary(u.boundary) as shape "  # noqa: S608 - names of our own
        f"from {table} u join {above} p on p.id = u.{key} order by u.code"
    )
    return [
        Unit(
            row["id"], row["code"], row["name"], tuple(row["aliases"]), row["parent"], row["area_km2"],
            shapely.from_wkb(row["shape"]),
        )
        for row in rows
    ]  # fmt: skip


def waters(connection: psycopg.Connection[Any]) -> BaseGeometry:
    """The county's waters of today, as one shape."""
    rows = connection.execute("select st_asbinary(boundary) from waters where upper_inf(valid)").fetchall()
    return shapely.union_all([shapely.from_wkb(row[0]) for row in rows])


def look(
    columns: dict[str, str], crs: str, drawn: list[Drawn], held: list[Unit], water: BaseGeometry, left_out: int = 0
) -> Report:
    """What the file says of each unit, and what somebody should know before it is written."""
    report = Report(columns, crs)
    if left_out:
        report.notes.append(f"{left_out:,} features of other counties were left out")
    by_code = {unit.code: unit for unit in held}
    _match(report, drawn, held)
    for code, unit in by_code.items():
        if code not in report.matched:
            report.wrong.append(f"missing: {unit.name} ({code}) is not in the file")
    for code, found in sorted(report.matched.items()):
        unit = by_code[code]
        if found.flaw:
            told = f"invalid: {unit.name} ({code}), feature {found.row}: {found.flaw}"
            (report.wrong if found.shape.is_empty else report.notes).append(
                told + ("" if found.shape.is_empty else "; mended, its area is the same to the eye: look at it")
            )
        if found.shape.is_empty:
            continue
        west, south, east, north = found.shape.bounds
        if not (west >= 33 and east <= 37 and south >= -2 and north <= 2):
            report.wrong.append(f"outside: {unit.name} ({code}) lies beyond 33 to 37 degrees east, 2 south to 2 north")
        if found.parent and plain(found.parent) != plain(unit.parent):
            report.notes.append(f"parent: {unit.name} ({code}) is put under {found.parent}; the hub has {unit.parent}")
        land = area_km2(found.shape)
        lake = area_km2(shapely.intersection(found.shape, water)) if found.shape.intersects(water) else 0.0
        if lake > SEEN_KM2:
            report.notes.append(f"lake: {unit.name} ({code}) takes in {lake:.2f} km² of water")
        if abs(land - lake - unit.gazetted_km2) > AREA_OFF * unit.gazetted_km2:
            report.notes.append(
                f"area: {unit.name} ({code}) has {land - lake:.1f} km² of land, {unit.gazetted_km2:.1f} are gazetted"
            )
    _neighbours(report, by_code)
    _swapped(report, by_code)
    return report


def _match(report: Report, drawn: list[Drawn], held: list[Unit]) -> None:
    """Each feature to a unit: by its code, its name, an alias, the same words in another order, or the nearest name."""
    by_code = {unit.code: unit for unit in held}
    by_name = {plain(unit.name): unit for unit in held}
    by_alias = {plain(alias): unit for unit in held for alias in unit.aliases}
    by_words = {" ".join(sorted(plain(name).split())): unit for unit in held for name in (unit.name, *unit.aliases)}
    rest = []
    for found in drawn:
        name = plain(found.said)
        digits = re.sub(r"\D", "", found.code or "")
        unit, how = by_name.get(name), "name"
        coded = by_code.get(digits) or by_code.get(digits.lstrip("0"))
        if unit is None and (unit := by_alias.get(name) or by_words.get(" ".join(sorted(name.split())))):
            how = "alias"
        if coded is not None and unit is not None and coded is not unit:
            report.doubts.append(
                f"code: feature {found.row} is called {found.said} ({unit.code}) and has the code of {coded.name} "
                f"({coded.code}); its name was believed"
            )
        elif unit is None and coded is not None:
            unit, how = coded, "code"
        if unit is None:
            rest.append(found)
        else:
            _take(report, unit, found, how)
    left = {plain(unit.name): unit for unit in held if unit.code not in report.matched}
    for found in rest:
        close = get_close_matches(plain(found.said), left, 1, 0.6)
        if close:
            unit = left.pop(close[0])
            report.doubts.append(f"guess: feature {found.row}, {found.said}, was taken for {unit.name} ({unit.code})")
            _take(report, unit, found, "guess")
        else:
            report.notes.append(f"extra: feature {found.row}, {found.said}, is no unit that the hub knows")


def _take(report: Report, unit: Unit, found: Drawn, how: str) -> None:
    if unit.code in report.matched:
        other = report.matched[unit.code]
        report.wrong.append(f"twice: features {other.row} and {found.row} are both {unit.name} ({unit.code})")
        return
    report.matched[unit.code] = found
    report.how[unit.code] = how


def _neighbours(report: Report, by_code: dict[str, Unit]) -> None:
    """Overlaps and gaps between the file's own shapes, with their size."""
    codes = [code for code in sorted(report.matched) if not report.matched[code].shape.is_empty]
    shapes = [report.matched[code].shape for code in codes]
    tree = shapely.STRtree(shapes)
    for at, code in enumerate(codes):
        for other in sorted(tree.query(shapes[at])):
            if other <= at:
                continue
            size = area_km2(multipolygon(shapely.intersection(shapes[at], shapes[other])))
            if size > SEEN_KM2:
                names = [f"{by_code[each].name} ({each})" for each in (code, codes[other])]
                report.notes.append(f"overlap: {names[0]} and {names[1]} share {size:.2f} km²")
    union = shapely.union_all(shapes) if shapes else shapely.Polygon()
    for part in shapely.get_parts(union):
        for ring in getattr(part, "interiors", ()):
            hole = shapely.Polygon(ring)
            if (size := area_km2(hole)) > SEEN_KM2:
                near = [by_code[codes[each]].name for each in sorted(tree.query(hole, "intersects"))]
                report.notes.append(f"gap: {size:.2f} km² between {', '.join(near)}")


def _swapped(report: Report, by_code: dict[str, Unit]) -> None:
    """Shapes that fit another unit's better than their own: two that fit each other's were swapped."""
    held = list(by_code.values())
    tree = shapely.STRtree([unit.shape for unit in held])
    best: dict[str, str] = {}
    for code, found in report.matched.items():
        if found.shape.is_empty:
            continue
        likeness = {held[at].code: _alike(found.shape, held[at].shape) for at in tree.query(found.shape)}
        nearest = max(likeness, key=lambda each: likeness[each], default=code)
        if likeness.get(nearest, 0) > likeness.get(code, 0) + 0.1:
            best[code] = nearest
    for code, other in sorted(best.items()):
        named = f"{by_code[code].name} ({code})"
        if best.get(other) == code:
            if code < other:
                report.doubts.append(f"swapped: the shapes of {named} and {by_code[other].name} ({other}) look swapped")
        else:
            report.doubts.append(f"misplaced: the shape of {named} looks like that of {by_code[other].name} ({other})")


def _alike(one: BaseGeometry, other: BaseGeometry) -> float:
    """Shared area as a part of both together, 0 to 1."""
    shared = shapely.intersection(one, other).area
    return float(shared / (one.area + other.area - shared)) if shared else 0.0


def told(report: Report) -> Iterable[str]:
    """The report, a line a finding."""
    columns = ", ".join(f"{what} from {column}" for what, column in report.columns.items())
    yield f"columns: {columns}; reference system: {report.crs if len(report.crs) < 40 else report.crs[:40] + '…'}"
    ways = list(report.how.values())
    counted = ", ".join(f"{ways.count(how)} by {how}" for how in ("name", "alias", "code", "guess") if how in ways)
    yield f"matched: {len(report.matched)} ({counted or 'none'})"
    for code, how in sorted(report.how.items()):
        if how in ("alias", "code"):
            yield f"{how}: feature {report.matched[code].row}, {report.matched[code].said}, is {code}"
    yield from report.notes
    yield from (f"LOOK  {doubt}" for doubt in report.doubts)
    yield from (f"WRONG  {flaw}" for flaw in report.wrong)


# -- writing -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Where a file is from, as the hub says it of every outline."""

    slug: str
    title: str
    publisher: str
    attribution: str
    published: date | None = None
    licence: str | None = None


def write(
    connection: psycopg.Connection[Any], report: Report, level: Level, held: list[Unit], source: Source, from_day: date,
    generalised: int | None,
) -> int:  # fmt: skip
    """Store the outlines beside those that are followed, with those of the units above them. How many. Raises
    CannotLoad where the source is known already."""
    made = connection.execute(
        "insert into sources (slug, title, publisher, published, licence, attribution) "
        "values (%s, %s, %s, %s, %s, %s) on conflict (slug) do nothing returning id",
        (source.slug, source.title, source.publisher, source.published, source.licence, source.attribution),
    ).fetchone()
    if made is None:
        raise CannotLoad(f"--source {source.slug}: there is a source of this name; each file is another one.")
    by_code = {unit.code: unit for unit in held}
    shapes = {by_code[code].id: found.shape for code, found in report.matched.items()}
    note = None
    above = [("wards", "sub_county_id"), ("sub_counties", "county_id")]
    for table, key in above if level == "ward" else above[1:]:
        _store(connection, shapes, made[0], from_day, generalised, note)
        parents: dict[Any, list[BaseGeometry]] = {}
        for id, parent in connection.execute(
            sql.SQL("select id, {} from {}").format(*map(sql.Identifier, (key, table)))
        ):
            parents.setdefault(parent, []).append(shapes[id])
        shapes = {parent: joined(parts) for parent, parts in parents.items()}
        note = "Joined from the outlines of its units."
    _store(connection, shapes, made[0], from_day, generalised, note)
    return len(report.matched)


def _store(
    connection: psycopg.Connection[Any], shapes: dict[Any, BaseGeometry], source: Any, from_day: date,
    generalised: int | None, note: str | None,
) -> None:  # fmt: skip
    for area, shape in shapes.items():
        connection.execute(
            "insert into area_boundaries "
            "(area_id, boundary, label_point, generalised_meters, valid, source_id, note, accepted) values "
            "(%s, st_geomfromwkb(%s, 4326), st_geomfromwkb(%s, 4326), %s, daterange(%s, null), %s, %s, false)",
            (area, shape.wkb, label_point(shape).wkb, generalised, from_day, source, note),
        )


def follow(connection: psycopg.Connection[Any], slug: str, from_day: date, today: date) -> int:
    """From a day on a source's outlines are followed; what maps read is made anew. How many. Raises CannotLoad."""
    (many,) = connection.execute("select follow_boundaries(%s, %s)", (slug, from_day)).fetchone() or (0,)
    if not many:
        raise CannotLoad(f"{slug}: no source of this name draws outlines; `hub boundaries` lists those that do.")
    connection.execute("select refresh_areas(%s)", (today,))
    return int(many)


def versions(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Each source that draws outlines, how many it draws, and how many of them are followed today."""
    drawing = connection.cursor(row_factory=dict_row)
    return drawing.execute(
        """
        select
          s.slug, s.title, min(lower(b.valid)) as since, count(distinct b.area_id) as units,
          count(distinct b.area_id) filter (
            where b.accepted and b.valid @> (now() at time zone 'Africa/Nairobi')::date
          ) as followed
        from area_boundaries b join sources s on s.id = b.source_id
        group by s.id
        order by min(b.id::text)
        """
    ).fetchall()
