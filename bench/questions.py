"""Q1 to Q5: the operations as the API's contract has them, the peers' words for the same, and when answers are equal.

The hub is sent its operations verbatim. A peer has names of its own; `common` brings every answer to one form, in which
rows, their order and their values are compared.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

VARIETY = 64
"""How many boxes and points are asked in turns, so that nobody wins by keeping one answer."""
SEED = 2026

INCIDENTS_IN_VIEW = """query IncidentsInView($bbox: BBox!, $first: Int!) {
  incidents(where: { location: { bbox: $bbox } }, orderBy: [{ reportedAt: DESC }], first: $first) {
    nodes { id reference title kind severity status reportedAt location ward { code name subCounty { name } } }
    pageInfo { hasNextPage endCursor }
  }
}"""
WARDS = """query Wards { wards(first: 100, orderBy: [{ code: ASC }]) \
{ nodes { code name population areaKm2 boundary subCounty { code name } } } }"""
FLEET = """query Fleet { vehicles(first: 1000) \
{ nodes { id plate kind status latestPosition { recordedAt location speedKmh heading ward { name } } } } }"""
HERE = """query Here($at: Position!) {
  wardAt(point: $at) { code name subCounty { name } }
  nearestVehicles(to: $at, first: 5, where: { status: { eq: AVAILABLE } }) \
{ distanceMeters vehicle { plate kind latestPosition { recordedAt } } }
}"""

POSTGRAPHILE = {
    INCIDENTS_IN_VIEW: """query IncidentsInView($w: Float!, $s: Float!, $e: Float!, $n: Float!, $first: Int!) {
  incidents: incidentsInBox(west: $w, south: $s, east: $e, north: $n, first: $first) {
    nodes { id: rowId reference title kind severity status reportedAt location: geojson
            ward: wardByWardId { code name subCounty: subCountyBySubCountyId { name } } }
    pageInfo { hasNextPage endCursor }
  }
}""",
    WARDS: """query Wards { wards: allWards(first: 100, orderBy: [CODE_ASC]) {
  nodes { code name population areaKm2 boundary: geojson subCounty: subCountyBySubCountyId { code name } } } }""",
    FLEET: """query Fleet { vehicles: allVehicles(first: 1000, orderBy: [PLATE_ASC]) {
  nodes { id: rowId plate kind status
          latestPosition: latestPositionByVehicleId {
            recordedAt location: geojson speedKmh heading ward: wardByWardId { name } } } } }""",
    HERE: """query Here($x: Float!, $y: Float!) {
  wardAt(longitude: $x, latitude: $y) { code name subCounty: subCountyBySubCountyId { name } }
  nearestVehicles(longitude: $x, latitude: $y, many: 5) {
    nodes { distanceMeters vehicle: vehicleByVehicleId {
      plate kind latestPosition: latestPositionByVehicleId { recordedAt } } } }
}""",
}
STRAWBERRY = {
    INCIDENTS_IN_VIEW: """query IncidentsInView($bbox: [Float!]!, $first: Int!) {
  incidents(bbox: $bbox, first: $first) {
    id reference title kind severity status reportedAt location ward { code name subCounty { name } } }
}""",
    WARDS: "query Wards { wards { code name population areaKm2 boundary subCounty { code name } } }",
    FLEET: """query Fleet { vehicles(first: 1000) {
  id plate kind status latestPosition { recordedAt location speedKmh heading ward { name } } } }""",
    HERE: """query Here($at: [Float!]!) {
  wardAt(point: $at) { code name subCounty { name } }
  nearestVehicles(to: $at, first: 5) { distanceMeters vehicle { plate kind latestPosition { recordedAt } } }
}""",
}


ANEW, KEPT = "force_custom_plan", "auto"
"""With its values each time: left to itself PostgreSQL would read every row of a box from its sixth run on. Or once
for all of them, where that is the faster."""


@dataclass(frozen=True)
class Question:
    """One of the five, with the variables that it is asked with in turns."""

    name: str
    says: str
    operation: str
    variables: tuple[dict[str, Any], ...] = ({},)
    plans: str = ANEW
    """How the peers' connections have it planned (`plan_cache_mode`): as it is best for it."""

    def bodies(self, target: str) -> list[bytes]:
        """The requests to the hub, `raw` or a peer, one for each set of variables."""
        if target == "postgraphile":
            return [_body(POSTGRAPHILE[self.operation], _apart(given)) for given in self.variables]
        words = STRAWBERRY[self.operation] if target == "strawberry" else self.operation
        return [_body(words, given) for given in self.variables]


def _body(query: str, variables: dict[str, Any]) -> bytes:
    asked = {"query": query, "variables": variables} if variables else {"query": query}
    return json.dumps(asked, separators=(",", ":")).encode()


def _apart(given: dict[str, Any]) -> dict[str, Any]:
    """A box and a position as numbers of their own."""
    told = {name: value for name, value in given.items() if name == "first"}
    told |= dict(zip("wsen", given.get("bbox", ()), strict=False))
    return told | dict(zip("xy", given.get("at", ()), strict=False))


def _boxes(first: int, seed: int) -> tuple[dict[str, Any], ...]:
    """Views of a map over and around the city, 7 to 20 km wide: over 1,000 incidents in each, at the ordinary scale."""
    chance, made = random.Random(seed), []
    for _ in range(VARIETY):
        x, y = chance.uniform(34.70, 34.84), chance.uniform(-0.12, -0.06)
        width = chance.uniform(0.06, 0.18)
        sides = (x - width / 2, y - width / 3, x + width / 2, y + width / 3)
        # Between two places that incidents can lie at; see county.py.
        box = [round((2 * math.floor(side * 50_000) + 1) / 100_000, 5) for side in sides]
        made.append({"bbox": box, "first": first})
    return tuple(made)


def _points() -> tuple[dict[str, Any], ...]:
    chance = random.Random(SEED + 5)
    return tuple(
        {"at": [round(chance.uniform(34.45, 35.15), 5), round(chance.uniform(-0.25, 0.05), 5)]} for _ in range(VARIETY)
    )


QUESTIONS = (
    Question("q1", "50 incidents in a box, newest first", INCIDENTS_IN_VIEW, _boxes(50, SEED)),
    Question("q2", "1,000 incidents in a box, newest first", INCIDENTS_IN_VIEW, _boxes(1000, SEED + 2)),
    Question("q3", "35 wards with outlines", WARDS, plans=KEPT),
    Question("q4", "1,000 vehicles with latest position", FLEET),
    Question("q5", "ward of a point and 5 nearest vehicles", HERE, _points(), KEPT),
)


# -- equal answers -----------------------------------------------------------------------------------------------------


class Unequal(Exception):
    """Two servers answer the same question differently: their rates cannot be compared."""


def common(answer: bytes) -> Any:
    """An answer's data in the form that all have in common. Raises Unequal for errors."""
    said = json.loads(answer)
    if said.get("errors") or not said.get("data"):
        raise Unequal(f"no data: {answer[:300]!r}")
    return _common(said["data"])


_WORDS = ("kind", "severity", "status")


def _common(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        if "nodes" in value:
            return _common(value["nodes"])
        return {key: _common(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_common(inner) for inner in value]
    if name in _WORDS and isinstance(value, str):
        return value.upper()
    if name.endswith("At") and isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    if name in ("population",) and isinstance(value, str):
        return int(value)
    if name in ("areaKm2", "distanceMeters", "speedKmh", "heading") and isinstance(value, str):
        return float(value)
    return value


def compare(ours: Any, theirs: Any, place: str = "data") -> None:
    """Raises Unequal, naming the place, unless rows, order and values agree."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            raise Unequal(f"{place}: {sorted(ours)} and {sorted(theirs)}")
        for key in ours:
            compare(ours[key], theirs[key], f"{place}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            raise Unequal(f"{place}: {len(ours)} and {len(theirs)} rows")
        for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            compare(our, their, f"{place}[{number}]")
    elif isinstance(ours, float | int) and isinstance(theirs, float | int) and not isinstance(ours, bool):
        if not math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9):
            raise Unequal(f"{place}: {ours!r} and {theirs!r}")
    elif ours != theirs:
        raise Unequal(f"{place}: {ours!r} and {theirs!r}")


def check(question: Question, answers: dict[str, Callable[[bytes], bytes]]) -> dict[str, str]:
    """Ask everybody the same with every set of variables; who answers otherwise than the hub, and how."""
    wrong: dict[str, str] = {}
    for ours, *asked in zip(question.bodies("hub"), *(question.bodies(name) for name in answers), strict=True):
        expected = common(answers["hub"](ours))
        for name, body in zip(answers, asked, strict=True):
            if name != "hub" and name not in wrong:
                try:
                    compare(expected, common(answers[name](body)))
                except Unequal as error:
                    wrong[name] = str(error)
    return wrong
