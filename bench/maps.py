"""Vector tiles of the same map from the hub and from tipg, zoom by zoom: once everything is warm, which is what the hub
keeps as long as nothing changes, and apart from that the making of each anew. tipg keeps none.

tipg puts 10,000 features into a tile, whichever come first, and leaves the others out without a word; it is left so,
because it would be slower still with all of them.
"""

from __future__ import annotations

import http.client
import math
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from bench import load
from bench.report import Figure
from tests.tiles import Feature, read

ZOOMS = range(8, 15)
MOST_TILES = 32
SAMPLE = 4000


def tiles_of(owner: psycopg.Connection, zoom: int, sample: int = SAMPLE) -> list[tuple[int, int, int]]:
    """Tiles in which open incidents lie, the first so many of them: up to 32 of a zoom, the same each time."""
    places = owner.execute(
        "select st_x(location), st_y(location) from peer.open_incidents order by id limit %s", (sample,)
    ).fetchall()
    found = sorted({tile_at(zoom, x, y) for x, y in places})
    random.Random(zoom).shuffle(found)
    return found[:MOST_TILES]


def tile_at(zoom: int, longitude: float, latitude: float) -> tuple[int, int, int]:
    down = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2
    return zoom, int((longitude + 180) / 360 * 2**zoom), int(down * 2**zoom)


def hub_path(tile: tuple[int, int, int]) -> str:
    return "/tiles/incidents/{}/{}/{}.mvt".format(*tile)


def tipg_path(tile: tuple[int, int, int]) -> str:
    return "/collections/peer.open_incidents/tiles/WebMercatorQuad/{}/{}/{}".format(*tile)


def measured(
    zoom: int,
    hub: str,
    token: str,
    tipg: str,
    anew: str,
    owner: psycopg.Connection,
    work: Path,
    rounds: int,
    seconds: int,
    lack: Callable[[str, str], None],
) -> Figure:
    """One zoom: tiles a second once everything is warm, and what they show. Raises Broken."""
    tiles = tiles_of(owner, zoom)
    ours, first = _first(hub, token, [hub_path(tile) for tile in tiles])
    targets = {"hub": load.Target(hub, load.get(map(hub_path, tiles)), token)}
    note = f"{len(tiles)} tiles; asked for the first time {first:.1f} ms"
    if tipg:
        theirs, their_first = _first(tipg, "", [tipg_path(tile) for tile in tiles])
        note += f" (tipg {their_first:.1f}); " + _same(ours, theirs)
        targets["tipg"] = load.Target(tipg, load.get(map(tipg_path, tiles)))
    if anew:
        _first(anew, token, [hub_path(tile) for tile in tiles])
        targets["anew"] = load.Target(anew, load.get(map(hub_path, tiles)), token)
    heard = load.in_turns(targets, owner, work, rounds=rounds, seconds=seconds, lack=lack)
    note += ". KB a tile: " + ", ".join(
        f"{name} {one.bytes_each / 1000:.0f}" for name, one in heard.items() if name != "anew"
    )
    return _figure(f"tiles_z{zoom}", f"open incidents, zoom {zoom}, kept", heard, note)


def _figure(name: str, says: str, heard: dict[str, load.Heard], note: str = "") -> Figure:
    rates = {target: one.rate for target, one in heard.items()}
    tails = {target: (one.at("p50"), one.at("p95"), one.at("p99")) for target, one in heard.items()}
    return Figure(name, says, "tiles/s", "higher", rates.pop("hub"), rates, tails, note)


def _first(url: str, token: str, paths: list[str]) -> tuple[list[bytes], float]:
    """The tiles, each asked for once, and the median of how long that took, in milliseconds."""
    parts = urlsplit(url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    bodies, took = [], []
    for path in paths:
        began = time.perf_counter()
        line.request("GET", path, headers=headers)
        answer = line.getresponse()
        bodies.append(answer.read())
        if answer.status != 200:
            raise load.Broken(f"{path}: {answer.status} {bodies[-1][:200]!r}")
        took.append(1000 * (time.perf_counter() - began))
    line.close()
    return bodies, statistics.median(took)


def _same(ours: list[bytes], theirs: list[bytes]) -> str:
    """Whether both show the same incidents; where the hub counts them together, whether it counts all of them."""
    rows = shown = alike = singly = 0
    for our, their in zip(ours, theirs, strict=True):
        mine = _features(our)
        others = _features(their)
        counted = sum(int(each.attributes.get("count", 1)) for each in mine)
        rows += counted
        shown += len(others)
        if counted == len(mine):
            singly += 1
            inside = {each["id"] for each in others if all(0 < side < 4096 for side in each.at)}
            known = {each["id"]: each for each in mine}
            missing = inside - known.keys()
            assert not missing, f"{len(missing)} incidents are in tipg's tile and not in the hub's"
            assert all(
                each[name] == known[each["id"]][name]
                for each in others
                if each["id"] in inside
                for name in ("kind", "severity", "status")
            ), "attributes differ"
            # Points on an edge stand in one tile of the hub's and in two of tipg's.
            assert len(known.keys() - {each["id"] for each in others}) <= len(known) // 100 + 8, "tipg lacks incidents"
            alike += 1
    if singly == len(ours):
        return f"the same {rows:,} incidents with the same attributes"
    if shown < rows:
        return f"the hub shows all {rows:,} incidents, counted where they are too many, tipg {shown:,} of them"
    return f"the same {rows:,} incidents, counted by the hub in {len(ours) - alike} of {len(ours)} tiles"


def _features(tile: bytes) -> list[Feature]:
    return [each for layer in read(tile).values() for each in layer]
