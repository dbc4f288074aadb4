"""Ways along roads: which is the quickest, and where one is at which moment of driving it.

Positions are (longitude, latitude) in degrees, WGS 84; lengths are metres, times seconds, speeds km/h, headings degrees
clockwise from north. Every road is driven both ways at the same speed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

Position = tuple[float, float]

_SEMI_MAJOR = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_2 = _FLATTENING * (2 - _FLATTENING)

_STATION = 25.0
"""Metres between the points at which a drive's speed is worked out."""

_SAME_PLACE = 0.001
"""Metres: places closer than this are one."""


class NoWay(ValueError):
    """No road leads from the one place to the other, or a place is none of the graph's."""


@dataclass(frozen=True)
class Road:
    """A stretch between two named places: at least two positions, the first at `start`, the last at `end`."""

    start: str
    end: str
    line: tuple[Position, ...]
    speed_kmh: float

    @property
    def seconds(self) -> float:
        """Time to drive it at its own speed."""
        return length(self.line) / (self.speed_kmh / 3.6)

    def turned(self) -> Road:
        """The same stretch, driven the other way."""
        return Road(self.end, self.start, self.line[::-1], self.speed_kmh)


Graph = Mapping[str, Sequence[Road]]
"""The roads that leave each place."""


@dataclass(frozen=True)
class Path:
    """Roads in the order in which they are driven; none, where one is there already."""

    roads: tuple[Road, ...]

    @property
    def seconds(self) -> float:
        """Time to drive it, each road at its own speed."""
        return sum(road.seconds for road in self.roads)

    @property
    def line(self) -> tuple[Position, ...]:
        """Its positions, each once where two roads meet."""
        joined: list[Position] = []
        for road in self.roads:
            joined += road.line[1:] if joined else road.line
        return tuple(joined)


class Moment(NamedTuple):
    """Where a drive is after so many seconds."""

    seconds: float
    longitude: float
    latitude: float
    speed_kmh: float
    heading: float


def metres(one: Position, other: Position) -> float:
    """The distance between two positions of this region, in metres on the spheroid.

    A plane laid on the spheroid at their middle latitude, with its two radii of curvature there: within 0.01 % of the
    geodesic for up to 200 km near the equator, where plain degrees would be 0.7 % off. Not for other latitudes.

    >>> round(metres((34.0, 0.0), (35.0, 0.0)))
    111319
    >>> round(metres((34.0, -0.5), (34.0, 0.5)))
    110574
    """
    east, north = _apart(one, other)
    return math.hypot(east, north)


def heading(one: Position, other: Position) -> float:
    """The direction from one position to another, 0 to below 360 degrees clockwise from north; 0 where they are one.

    >>> heading((34.0, 0.0), (35.0, 0.0)), heading((34.0, 0.0), (34.0, -1.0))
    (90.0, 180.0)
    """
    east, north = _apart(one, other)
    # A hair west of north would otherwise become 360.
    return math.degrees(math.atan2(east, north)) % 360.0 % 360.0


def length(line: Iterable[Position]) -> float:
    """Metres along a line; 0 for fewer than two positions.

    >>> length([])
    0
    """
    return sum(metres(one, other) for one, other in pairwise(line))


def graph(roads: Iterable[Road]) -> Graph:
    """Roads as a graph of the places that they join, each both ways.

    >>> sorted(graph([Road("a", "b", ((34.0, 0.0), (34.1, 0.0)), 50)]))
    ['a', 'b']
    """
    leaving: dict[str, list[Road]] = {}
    for road in roads:
        leaving.setdefault(road.start, []).append(road)
        leaving.setdefault(road.end, []).append(road.turned())
    return leaving


def quickest(roads: Graph, start: str, end: str) -> Path:
    """The path that takes the least time (Dijkstra). Raises NoWay where there is none.

    >>> quickest(graph([Road("a", "b", ((34.0, 0.0), (34.1, 0.0)), 50)]), "a", "a")
    Path(roads=())
    """
    for place in (start, end):
        if place not in roads:
            raise NoWay(f"{place} is no place of these roads")
    best = {start: 0.0}
    came: dict[str, Road] = {}
    # The count breaks ties, so that the same roads always give the same path.
    count = 0
    waiting = [(0.0, count, start)]
    while waiting:
        seconds, _, place = heapq.heappop(waiting)
        if place == end:
            break
        if seconds > best[place]:
            continue
        for road in roads[place]:
            there = seconds + road.seconds
            if there < best.get(road.end, math.inf):
                best[road.end] = there
                came[road.end] = road
                count += 1
                heapq.heappush(waiting, (there, count, road.end))
    if end not in best:
        raise NoWay(f"no road leads from {start} to {end}")
    driven_: list[Road] = []
    place = end
    while place != start:
        driven_.append(came[place])
        place = came[place].start
    return Path(tuple(reversed(driven_)))


def driven(
    path: Path, top_kmh: float = math.inf, *, every: float = 10.0, acceleration: float = 1.0
) -> Iterator[Moment]:
    """A drive along a path from rest to rest: a moment every `every` seconds, the first at 0, and the last at its end.

    Nobody drives faster than the road's speed or `top_kmh`; speed grows and falls by `acceleration`, in m/s², also
    between roads of different speeds. Bends are not slowed for. A path without roads, or one that never gets a
    millimetre away from its start, gives nothing.
    """
    line: list[Position] = []
    tops: list[float] = []  # of the stretch that begins at each station, m/s
    # Points closer than a millimetre are one: between them the sums below would divide by (nearly) nothing.
    one = path.roads[0].line[0] if path.roads else (0.0, 0.0)
    for road in path.roads:
        top = min(road.speed_kmh, top_kmh) / 3.6
        for other in road.line:
            apart = metres(one, other)
            if apart < _SAME_PLACE:
                continue
            # Two at least: with rest at both ends of a single stretch nothing would ever move.
            parts = max(2, math.ceil(apart / _STATION))
            for part in range(parts):
                share = part / parts
                line.append((one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1])))
                tops.append(top)
            one = other
    if not line:
        return
    line.append(path.roads[-1].line[-1])
    steps = [metres(one, other) for one, other in pairwise(line)]
    speeds = [0.0, *(min(before, after) for before, after in pairwise(tops)), 0.0]
    for at, step in enumerate(steps):
        speeds[at + 1] = min(speeds[at + 1], math.sqrt(speeds[at] ** 2 + 2 * acceleration * step))
    for at in range(len(steps) - 1, -1, -1):
        speeds[at] = min(speeds[at], math.sqrt(speeds[at + 1] ** 2 + 2 * acceleration * steps[at]))

    began, ticks = 0.0, 0
    for at, step in enumerate(steps):
        slow, fast = speeds[at], speeds[at + 1]
        lasts = 2 * step / (slow + fast)
        grows = (fast - slow) / lasts
        one, other = line[at], line[at + 1]
        facing = heading(one, other)
        while ticks * every < began + lasts:
            since = ticks * every - began
            share = min(1.0, (slow * since + grows * since**2 / 2) / step)
            yield Moment(
                ticks * every,
                one[0] + share * (other[0] - one[0]),
                one[1] + share * (other[1] - one[1]),
                (slow + grows * since) * 3.6,
                facing,
            )
            ticks += 1
        began += lasts
    yield Moment(began, *line[-1], 0.0, heading(line[-2], line[-1]))


def _apart(one: Position, other: Position) -> Position:
    """Metres eastward and northward from one position to another."""
    latitude = math.radians((one[1] + other[1]) / 2)
    bent = 1 - _ECCENTRICITY_2 * math.sin(latitude) ** 2
    east = _SEMI_MAJOR / math.sqrt(bent) * math.cos(latitude)
    north = _SEMI_MAJOR * (1 - _ECCENTRICITY_2) / bent**1.5
    return math.radians(other[0] - one[0]) * east, math.radians(other[1] - one[1]) * north
