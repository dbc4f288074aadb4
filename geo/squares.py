"""Which of several areas a place lies in, for thousands of places at once.

The plane is cut into squares. One that no outline passes through lies in one area, or in none: whatever is in it needs
no geometry. Of the few others nothing is said; whoever asks looks at the outlines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy
import shapely
from numpy.typing import NDArray

PER_DEGREE: Final = 2048
"""Squares to a degree, some 54 m wide. A power of two: a degree by it is no rounded number, so that a place and an
outline are never cut apart by the arithmetic."""

NOWHERE: Final = 0
UNDECIDED: Final = 255
MOST: Final = 254
"""Areas that can be told apart: a number is a byte."""

_STEP: Final = 1 / (4 * PER_DEGREE)
"""Degrees from one looked-at place of an outline to the next, at most."""


class Squares:
    """The squares of areas, EPSG:4326, numbered from 1 as they were given."""

    def __init__(self, outlines: Sequence[bytes]) -> None:
        """Areas as WKB. Where two overlap, the first counts. Raises ValueError for more than `MOST`."""
        if len(outlines) > MOST:
            raise ValueError(f"{len(outlines)} areas: at most {MOST} can be told apart")
        areas = shapely.from_wkb(list(outlines))
        edges = shapely.get_coordinates(shapely.segmentize(shapely.boundary(areas), _STEP))
        if not len(edges):
            self._west = self._south = 0
            self._numbers = numpy.zeros((1, 1), numpy.uint8)
            return
        # No place of an outline is further than half a step from one that is looked at: with a little more around it,
        # the corners of that lie in all squares that the outline passes through there.
        around = 0.6 * _STEP
        passed = numpy.concatenate(
            [
                numpy.floor((edges + numpy.array([x, y])) * PER_DEGREE)
                for x in (-around, around)
                for y in (-around, around)
            ]
        ).astype(numpy.int64)
        # A frame of one square around it all lies in no area.
        self._west, self._south = (int(least) - 1 for least in passed.min(axis=0))
        width, height = passed.max(axis=0) - (self._west, self._south) + 2
        self._numbers = numpy.zeros((height, width), numpy.uint8)
        self._numbers[passed[:, 1] - self._south, passed[:, 0] - self._west] = UNDECIDED
        self._fill(areas)

    def _fill(self, areas: NDArray[numpy.object_]) -> None:
        """Number what is decided: side by side in a row, up to the next square that is not, all squares are alike."""
        width = self._numbers.shape[1]
        decided = self._numbers.ravel() != UNDECIDED
        begins = decided.copy()
        begins[1:] &= ~decided[:-1]
        begins[::width] = decided[::width]
        starts = numpy.flatnonzero(begins)
        rows, columns = numpy.divmod(starts, width)
        centres = shapely.points(
            (columns + self._west + 0.5) / PER_DEGREE,
            (rows + self._south + 0.5) / PER_DEGREE,
        )
        run, area = shapely.STRtree(areas).query(centres, predicate="intersects")
        numbers = numpy.full(len(starts), len(areas) + 1, numpy.uint8)
        numpy.minimum.at(numbers, run, area.astype(numpy.uint8) + 1)
        numbers[numbers > len(areas)] = NOWHERE
        self._numbers.ravel()[decided] = numbers[numpy.cumsum(begins)[decided] - 1]

    def numbers(self, longitudes: Sequence[float], latitudes: Sequence[float]) -> bytes:
        """The number of the area that each place lies in, degrees; `NOWHERE` for none, `UNDECIDED` where an outline
        passes close by."""
        height, width = self._numbers.shape
        columns = numpy.floor(numpy.array(longitudes) * PER_DEGREE).astype(numpy.int64) - self._west
        rows = numpy.floor(numpy.array(latitudes) * PER_DEGREE).astype(numpy.int64) - self._south
        # What lies outside falls on the frame.
        return self._numbers[numpy.clip(rows, 0, height - 1), numpy.clip(columns, 0, width - 1)].tobytes()
