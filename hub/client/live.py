"""A map in a notebook that moves as vehicles do: the kernel listens, the page draws. Needs no internet."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from hub.client.maps import _LOCAL, _file
from schema.errors import HubError

if TYPE_CHECKING:
    from hub.client.hub import Hub

MOVES = """subscription ($after: String) { vehicleMoved(after: $after) {
  cursor positions { recordedAt location doubts vehicle { plate callSign status } }
} }"""

_DRAW = Path(__file__).with_name("live_map.js")
"""What the page runs, behind Leaflet."""


class LiveMap(anywidget.AnyWidget):
    """Where vehicles are, as they say it. `close()` ends it."""

    _esm = ""
    css = traitlets.Unicode().tag(sync=True)
    wards = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(480).tag(sync=True)
    vehicles = traitlets.Dict().tag(sync=True)

    def __init__(self, hub: Hub, height: int = 480) -> None:
        # Leaflet is written for pages and for CommonJS: here it finds the latter.
        wrapped = (
            "const L = (() => { const module = { exports: {} }, exports = module.exports;\n"
            + _file(hub, _LOCAL["leaflet.js"])
            + "\nreturn exports; })();\n"
        )
        found = hub.vehicles()
        found = found[~found.geometry.isna()]
        super().__init__(
            _esm=wrapped + _DRAW.read_text("utf-8"),
            css=_file(hub, _LOCAL["leaflet.css"]),
            wards=hub.wards()[["name", "geometry"]].to_json(),
            height=height,
            vehicles={
                row.plate: {
                    "lon": row.geometry.x,
                    "lat": row.geometry.y,
                    "name": row.call_sign if isinstance(row.call_sign, str) else row.plate,
                    "status": row.status,
                    "at": row.recorded_at.isoformat(timespec="seconds"),
                }
                for row in found.itertuples()
            },
        )
        self.ended: HubError | None = None
        """Why it moves no more, where it does not."""
        self._events = hub.listen(MOVES)
        threading.Thread(target=self._follow, name="hub.client live map", daemon=True).start()

    def _follow(self) -> None:
        try:
            for event in self._events:
                self._take(event["vehicleMoved"]["positions"])
        except HubError as error:
            self.ended = error

    def _take(self, positions: list[dict[str, Any]]) -> None:
        moved = dict(self.vehicles)
        for each in positions:
            vehicle = each["vehicle"]
            if vehicle is None or each["doubts"]:
                continue
            before = moved.get(vehicle["plate"])
            if before and before["at"] >= each["recordedAt"]:
                continue  # a late fix moves nothing
            lon, lat = each["location"]["coordinates"]
            moved[vehicle["plate"]] = {
                "lon": lon,
                "lat": lat,
                "name": vehicle["callSign"] or vehicle["plate"],
                "status": vehicle["status"],
                "at": each["recordedAt"],
            }
        self.vehicles = json.loads(json.dumps(moved))

    def close(self) -> None:
        with suppress(ValueError):  # it waits for the next event just now, and ends with the page
            self._events.close()  # type: ignore[attr-defined]
        super().close()
