"""Maps of frames that need no internet: one file, drawn by folium, with everything inside that a browser asks for.

folium's pages load Leaflet and more from elsewhere. Here each such address is replaced by the hub's own copy, and one
that the hub has no copy of is refused: a map that is empty without internet must not be handed to a coordinator.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folium
import geopandas
import mapclassify
import pandas

from schema.errors import BadUserInput, HubError

if TYPE_CHECKING:
    from hub.client.hub import Hub

LEAFLET = "1.9.4"
"""The version that the hub brings: hub/web/package.json."""

_LOCAL = {
    "leaflet.js": f"/static/vendor/leaflet-{LEAFLET}/leaflet.js",
    "leaflet.css": f"/static/vendor/leaflet-{LEAFLET}/leaflet.css",
}
_ELSEWHERE = re.compile(
    r"<script[^>]*\ssrc=\"(?P<script>[^\"]+)\"[^>]*>\s*</script>|<link[^>]*\shref=\"(?P<style>[^\"]+)\"[^>]*/?>"
)

_ASKS = re.compile(
    r"(?:L\.tileLayer(?:\.\w+)?\(\s*[\"']|<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?|url\([\"']?|fetch\([\"'])"
    r"(?P<what>(?:https?:)?//[^\"'\s>)]+)"
)
"""What else a page asks of another server: tiles, pictures, data."""

# Sequential, colour-blind safe, dark for much (after ColorBrewer's YlOrBr); what has no value is hatched by no colour.
_COLOURS = ("#fff7bc", "#fee391", "#fec44f", "#fe9929", "#ec7014", "#cc4c02", "#8c2d04")
_NOTHING = "#c9ced1"
_MARK = "#b3301a"
_EDGE = "#5b666c"

SCHEMES = ("NaturalBreaks", "Quantiles", "EqualInterval", "FisherJenks", "UserDefined")
"""Ways to class values, by mapclassify."""


class NoLocalCopy(HubError):
    """The map asks for a file that the hub has no copy of: without internet it would be empty."""


@dataclass
class OfflineMap:
    """A map that needs no internet. A notebook shows it; `save` writes it as one file."""

    folium: folium.Map
    hub: Hub
    height: int = 480

    @property
    def page(self) -> str:
        """The whole page. Raises NoLocalCopy."""
        return inlined(self.folium.get_root().render(), self.hub)

    def save(self, path: str | Path) -> Path:
        """The map as one HTML file."""
        made = Path(path)
        made.write_text(self.page, "utf-8")
        return made

    def _repr_html_(self) -> str:
        inside = html.escape(self.page, quote=True)
        return f'<iframe srcdoc="{inside}" style="width:100%;height:{self.height}px;border:0" title="Map"></iframe>'


def inlined(page: str, hub: Hub) -> str:
    """A page with the files that it asks for inside. Raises NoLocalCopy, naming what the hub has no copy of."""

    def inside(found: re.Match[str]) -> str:
        address = found["script"] or found["style"]
        name = address.partition("?")[0].rsplit("/", 1)[-1].replace(".min.", ".")
        if name not in _LOCAL:
            raise NoLocalCopy(f"{name}: the hub has no copy of it. Leave out the folium plugin that asks for it.")
        text = _file(hub, _LOCAL[name])
        return f"<script>{text}</script>" if found["script"] else f"<style>{text}</style>"

    made = _ELSEWHERE.sub(inside, page)
    if left := _ASKS.search(_ELSEWHERE.sub("", page)):
        raise NoLocalCopy(f"The map asks for {left['what'][:80]}: the hub has no copy of it.")
    return made


def _file(hub: Hub, path: str) -> str:
    text = hub.file(path).decode()
    # Pictures of controls that these maps do not have.
    text = re.sub(r"url\(images/[^)]*\)", "none", text)
    return re.sub(r"//# sourceMappingURL=\S+", "", text)


# -- a frame on the county ---------------------------------------------------------------------------------------------


def drawn(
    hub: Hub, frame: geopandas.GeoDataFrame, *, tooltip: list[str] | None = None, height: int = 480
) -> OfflineMap:
    """A frame over the county's wards, each row with what its columns say."""
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise BadUserInput("frame has no shapes: a map takes a GeoDataFrame")
    made = _county(hub)
    shown = frame[~frame.geometry.isna()].to_crs(4326)
    if len(shown):
        columns = tooltip or [name for name in shown.columns if name != shown.geometry.name][:8]
        _layer(
            shown,
            columns,
            lambda _: {"color": _MARK, "weight": 2, "fillColor": _MARK, "fillOpacity": 0.55},
            marker=folium.CircleMarker(radius=5),
        ).add_to(made)
        west, south, east, north = (float(side) for side in shown.total_bounds)
        made.fit_bounds([[south, west], [north, east]], max_zoom=14)
    return OfflineMap(made, hub, height)


def choropleth(
    hub: Hub,
    values: pandas.DataFrame,
    column: str,
    *,
    title: str,
    scheme: str = "NaturalBreaks",
    classes: int = 5,
    bins: list[float] | None = None,
    height: int = 520,
) -> OfflineMap:
    """Wards coloured by a column of a frame with `ward_code` (or that index), classed by mapclassify; the legend says
    the classes, how many wards are in each, and which have no value."""
    if scheme not in SCHEMES:
        raise BadUserInput(f"scheme {scheme!r}: send one of {', '.join(SCHEMES)}")
    by_code = values.set_index("ward_code") if "ward_code" in values else values
    if column not in by_code:
        raise BadUserInput(f"column {column!r}: the frame has none of this name; it has {', '.join(map(str, by_code))}")
    wards = hub.wards()
    wards["value"] = wards["code"].map(by_code[column]).astype("float64")
    known = wards["value"].dropna()
    edges: list[float] = []
    if len(known):
        if bins is not None:
            found = mapclassify.UserDefined(known, bins)
        else:
            most = min(classes, known.nunique(), len(_COLOURS))
            found = (
                getattr(mapclassify, scheme)(known, k=most)
                if most > 1
                else mapclassify.UserDefined(known, [known.max()])
            )
        edges = [float(edge) for edge in found.bins]
    colours = _spread(len(edges))
    wards["class"] = [_class(value, edges) for value in wards["value"]]
    made = _county(hub, outlines=False)
    wards["shown"] = ["no value" if pandas.isna(value) else f"{value:,.2f}" for value in wards["value"]]

    def style(feature: Any) -> dict[str, Any]:
        at = feature["properties"]["class"]
        colour = _NOTHING if at is None or at < 0 else colours[int(at)]
        return {"fillColor": colour, "fillOpacity": 0.85, "color": _EDGE, "weight": 1}

    _layer(wards[["name", "shown", "class", "geometry"]], ["name", "shown"], style).add_to(made)
    counts = [int((wards["class"] == at).sum()) for at in range(len(edges))]
    begin = float(known.min()) if len(known) else 0.0
    rows = []
    for at, edge in enumerate(edges):
        rows.append((colours[at], f"{edge:,.2f}" if edge == begin else f"{begin:,.2f} – {edge:,.2f}", counts[at]))
        begin = edge
    if missing := int((wards["class"] < 0).sum()):
        rows.append((_NOTHING, "no value", missing))
    made.get_root().html.add_child(  # type: ignore[attr-defined]
        folium.Element(_legend(title, rows))
    )
    return OfflineMap(made, hub, height)


def rates(hub: Hub, counts: pandas.Series, *, per: str = "km2") -> pandas.DataFrame:
    """Counts by ward code as rates: `per="km2"` of gazetted land, without the lake; `per="people"`, per 10,000 of the
    census of `population_year`, which is never scaled to today. A ward without a count has 0."""
    if per not in ("km2", "people"):
        raise BadUserInput(f"per={per!r}: send 'km2' or 'people'")
    wards = hub.wards().rename(columns={"code": "ward_code"})
    made = pandas.DataFrame(wards[["ward_code", "name", "area_km2", "population", "population_year"]])
    if strange := set(map(str, counts.index.dropna())) - set(made["ward_code"]):
        raise BadUserInput(f"counts has {min(strange)!r} in its index, which is no ward's code")
    made["count"] = made["ward_code"].map(counts).fillna(0).astype("int64")
    base = made["area_km2"] if per == "km2" else made["population"] / 10_000
    made["rate"] = (made["count"] / base).astype("float64")
    made.attrs["per"] = "per km² of land" if per == "km2" else f"per 10,000 people ({made['population_year'].iloc[0]})"
    return made


def _county(hub: Hub, *, outlines: bool = True) -> folium.Map:
    made = folium.Map(
        tiles=None,
        zoom_start=9,
        location=[-0.2, 34.9],
        control_scale=True,
        prefer_canvas=True,
        attribution_control=False,
    )
    made.default_js = [("leaflet", "leaflet.js")]
    made.default_css = [("leaflet_css", "leaflet.css")]
    wards = hub.wards()
    west, south, east, north = (float(side) for side in wards.total_bounds)
    made.fit_bounds([[south, west], [north, east]])
    made.get_root().header.add_child(  # type: ignore[attr-defined]
        folium.Element("<style>.leaflet-container { background: #dfe8ee !important }</style>")
    )
    if outlines:
        quiet = {"color": _EDGE, "weight": 1, "fillColor": "#f6f4ef", "fillOpacity": 1}
        _layer(wards[["name", "code", "geometry"]], ["name", "code"], lambda _: quiet).add_to(made)
    return made


def _layer(frame: geopandas.GeoDataFrame, columns: list[str], style: Any, marker: Any = None) -> folium.GeoJson:
    """Rows with what their columns say, as text: a title from the database cannot become markup."""
    shown = frame[
        [*dict.fromkeys(columns), *[name for name in ("class",) if name in frame], frame.geometry.name]
    ].copy()
    for name in columns:
        shown[name] = ["" if missing else html.escape(str(value)) for value, missing in _with_missing(shown[name])]
    aliases = [html.escape(str(name).replace("_", " ")) for name in columns]
    tooltip = folium.GeoJsonTooltip(columns, aliases=aliases, sticky=True)
    return folium.GeoJson(shown.to_json(), style_function=style, tooltip=tooltip, marker=marker)


def _with_missing(column: Any) -> Any:
    return zip(column, column.isna(), strict=True)


def _class(value: float, edges: list[float]) -> int:
    if pandas.isna(value):
        return -1
    return next((at for at, edge in enumerate(edges) if value <= edge), len(edges) - 1)


def _spread(many: int) -> list[str]:
    if many <= 1:
        return [_COLOURS[3]]
    return [_COLOURS[round(at * (len(_COLOURS) - 1) / (many - 1))] for at in range(many)]


def _legend(title: str, rows: list[tuple[str, str, int]]) -> str:
    lines = "".join(
        f'<div><span style="display:inline-block;width:14px;height:14px;margin-right:8px;background:{colour};'
        f'border:1px solid {_EDGE}"></span>{html.escape(words)} <small>({many})</small></div>'
        for colour, words, many in rows
    )
    return (
        '<div style="position:fixed;z-index:1000;right:12px;top:12px;max-width:45%;padding:10px 14px;background:#fff;'
        'border:1px solid #c3cad0;border-radius:8px;font:14px/1.5 sans-serif">'
        f"<strong>{html.escape(title)}</strong>{lines}</div>"
    )
