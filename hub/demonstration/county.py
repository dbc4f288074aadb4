"""The cast: the vehicles of the demonstration, where they stand, and the ways that they go. All of it is made up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from geo.routing import Graph, Position, Road, graph
from hub.county.roads import roads

ROAD, LAKE = "road", "lake"

HEALTH: Final = "Health and Sanitation"
DISASTER: Final = "Disaster Management"
ENFORCEMENT: Final = "Enforcement"
WORKS: Final = "Roads and Public Works"
WATER: Final = "Water and Environment"
DEPARTMENTS: Final = (HEALTH, DISASTER, ENFORCEMENT, WORKS, WATER)

TOP_KMH: Final = MappingProxyType(
    {
        "ambulance": 90.0,
        "fire_engine": 75.0,
        "rescue_boat": 30.0,
        "patrol_car": 90.0,
        "motorcycle": 60.0,
        "pickup": 80.0,
        "truck": 60.0,
        "tipper": 55.0,
        "bus": 60.0,
        "car": 80.0,
        "water_bowser": 50.0,
        "excavator": 25.0,
    }
)
"""What a kind of vehicle drives at most, km/h, where the road lets it."""


@dataclass(frozen=True)
class Vehicle:
    """A vehicle or boat of the demonstration."""

    plate: str
    kind: str
    call_sign: str
    department: str
    base: str
    """A place of the roads, or of the lanes for a boat."""

    @property
    def way(self) -> str:
        """Whether it goes by ROAD or on the LAKE."""
        return LAKE if self.kind == "rescue_boat" else ROAD


CAST: Final = (
    Vehicle("DEMO 001", "ambulance", "Tiba 1", HEALTH, "Jaramogi Oginga Odinga Hospital"),
    Vehicle("DEMO 002", "ambulance", "Tiba 2", HEALTH, "Kisumu County Referral Hospital"),
    Vehicle("DEMO 003", "ambulance", "Tiba 3", HEALTH, "Ahero"),
    Vehicle("DEMO 004", "ambulance", "Tiba 4", HEALTH, "Muhoroni"),
    Vehicle("DEMO 005", "ambulance", "Tiba 5", HEALTH, "Kombewa"),
    Vehicle("DEMO 006", "fire_engine", "Moto 1", DISASTER, "Kisumu"),
    Vehicle("DEMO 007", "fire_engine", "Moto 2", DISASTER, "Maseno"),
    Vehicle("DEMO 008", "rescue_boat", "Mashua 1", DISASTER, "Dunga moorings"),
    Vehicle("DEMO 009", "rescue_boat", "Mashua 2", DISASTER, "Ogenya moorings"),
    Vehicle("DEMO 010", "patrol_car", "Doria 1", ENFORCEMENT, "Kisumu"),
    Vehicle("DEMO 011", "patrol_car", "Doria 2", ENFORCEMENT, "Ahero"),
    Vehicle("DEMO 012", "patrol_car", "Doria 3", ENFORCEMENT, "Maseno"),
    Vehicle("DEMO 013", "motorcycle", "Piki 1", HEALTH, "Ahero"),
    Vehicle("DEMO 014", "motorcycle", "Piki 2", HEALTH, "Katito"),
    Vehicle("DEMO 015", "pickup", "Dharura 1", DISASTER, "Kisumu"),
    Vehicle("DEMO 016", "pickup", "Dharura 2", DISASTER, "Awasi"),
    Vehicle("DEMO 017", "truck", "Mzigo 1", DISASTER, "Kisumu"),
    Vehicle("DEMO 018", "truck", "Mzigo 2", DISASTER, "Moi Stadium"),
    Vehicle("DEMO 019", "tipper", "Kifusi 1", WORKS, "Moi Stadium"),
    Vehicle("DEMO 020", "tipper", "Kifusi 2", WORKS, "Chemelil"),
    Vehicle("DEMO 021", "bus", "Basi 1", DISASTER, "Kisumu"),
    Vehicle("DEMO 022", "car", "Gari 1", DISASTER, "Kisumu County Referral Hospital"),
    Vehicle("DEMO 023", "water_bowser", "Maji 1", WATER, "Mamboleo"),
    Vehicle("DEMO 024", "excavator", "Jembe 1", WORKS, "Rabuor"),
)

_DUNGA: Position = (34.7300, -0.1500)
_GULF: Position = (34.7700, -0.2000)
_OFF_OGENYA: Position = (34.7990, -0.2240)
_OGENYA: Position = (34.8120, -0.2450)
_PIER: Position = (34.7340, -0.1080)
_OFF_DUNGA: Position = (34.7180, -0.1480)

LANES: Final = (
    Road("Dunga moorings", "Gulf", (_DUNGA, (34.7400, -0.1700), _GULF), 30),
    Road("Gulf", "Off Ogenya", (_GULF, _OFF_OGENYA), 30),
    Road("Off Ogenya", "Ogenya moorings", (_OFF_OGENYA, _OGENYA), 30),
    Road("Dunga moorings", "Off Dunga", (_DUNGA, _OFF_DUNGA), 30),
    Road("Off Dunga", "Off the pier", (_OFF_DUNGA, (34.7200, -0.1300), _PIER), 30),
)
"""Where boats go: on the lake as the hub knows it, made up like the roads. Not for navigation."""


@cache
def ways(way: str) -> Graph:
    """The roads of the county, or the lanes on its lake."""
    return graph(roads() if way == ROAD else LANES)


def called(call_sign: str) -> Vehicle:
    """The vehicle of the cast with this call sign."""
    return next(vehicle for vehicle in CAST if vehicle.call_sign == call_sign)
