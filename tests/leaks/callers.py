"""Everybody who asks in the leak matrix: one line each. Adding a line asks every question once more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """Somebody at the hub's door."""

    name: str
    """As the reviewed file says it."""
    person: str | None = None
    """Who shows a token; nobody without."""
    roles: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    """Codes of the units that they answer for."""
    gone: str = ""
    """How the token ended: every question gets 401."""
    sees_as: str = ""
    """What an administrator says in `X-Hub-See-As`; `roles` and `areas` are then those that this means."""


CALLERS = (
    Caller("nobody"),
    Caller("citizen", "atieno", ("citizen",)),
    Caller("citizen who reported B and G", "akinyi", ("citizen",)),
    Caller("field officer of Ahero", "juma", ("field_officer",), ("1208",)),
    Caller("field officer of no area", "njeri", ("field_officer",)),
    Caller("ward administrator of Ahero", "kamau", ("ward_administrator",), ("1208",)),
    Caller("ward administrator of Seme", "wanjiru", ("ward_administrator",), ("1202",)),
    Caller("administrator of Nyando", "adhiambo", ("sub_county_administrator",), ("242",)),
    Caller("dispatcher", "otieno", ("dispatcher",)),
    Caller("coordinator", "achieng", ("coordinator",)),
    Caller("fleet manager", "mutua", ("fleet_manager",)),
    Caller("enforcement supervisor", "barasa", ("enforcement_supervisor",)),
    Caller("planner", "chebet", ("planner",)),
    Caller("planner and officer of Kobura", "moraa", ("planner", "field_officer"), ("1210",)),
    Caller("auditor", "naliaka", ("auditor",)),
    Caller("administrator", "wekesa", ("administrator",)),
    # What an administrator sees in another's place: never more than either of them.
    Caller("administrator as the public", "wekesa", sees_as="public"),
    Caller("administrator as a citizen", "wekesa", ("citizen",), sees_as="citizen"),
    Caller("administrator as a dispatcher", "wekesa", ("dispatcher",), sees_as="dispatcher"),
    Caller("administrator as Ahero's", "wekesa", ("ward_administrator",), ("1208",), sees_as="ward_administrator@1208"),
    Caller("dispatcher with a closed account", "kiprop", ("dispatcher",), gone="disabled"),
    Caller("dispatcher who signed out", "cherono", ("dispatcher",), gone="signed out"),
)
