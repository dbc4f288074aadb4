"""What a map gets when it asks for tiles: everything that its reader may see, once, and nothing else."""

from __future__ import annotations

import math
import random
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub import assets
from hub.identity import PUBLIC, Caller
from hub.outlets import tiles
from schema.access import Scope
from schema.incidents import Severity
from tests.conftest import County, Hub, make_person, running
from tests.hub.conftest import Visit
from tests.tiles import Feature, read

REPORT = "mutation($input: ReportIncidentInput!) { reportIncident(input: $input) { incident { id version } } }"
MOVE = "mutation($input: ChangeIncidentStatusInput!) { changeIncidentStatus(input: $input) { incident { version } } }"
AHERO, SEME = (34.9189, -0.1723), (34.4792, -0.1464)
RANKS = ("unknown", "minor", "moderate", "severe", "extreme")
COUNTY = (10, 611, 512)
"""The tile of zoom 10 that holds Ahero."""


@pytest_asyncio.fixture
async def place(fresh_database: County) -> AsyncIterator[Hub]:
    """A hub of its own with people who see more and less."""
    make_person(fresh_database, "dispatcher", "dispatcher")
    make_person(fresh_database, "ahero", "ward_administrator", areas=("1208",))
    make_person(fresh_database, "seme", "ward_administrator", areas=("1202",))
    make_person(fresh_database, "nowhere", "field_officer")
    make_person(fresh_database, "citizen", "citizen")
    async with running(fresh_database.login_url) as hub:
        yield hub


class Reader:
    """Somebody who looks at a map."""

    def __init__(self, hub: Hub, token: str | None) -> None:
        self.hub, self.token = hub, token

    async def get(self, layer: str, z: int, x: int, y: int, **headers: str) -> httpx.Response:
        shown = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.hub.http.get(f"/tiles/{layer}/{z}/{x}/{y}.mvt", headers={**shown, **headers})

    async def features(self, layer: str, z: int, x: int, y: int) -> list[Feature]:
        answer = await self.get(layer, z, x, y)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == tiles.MEDIA
        found = read(answer.content)
        assert set(found) <= {layer}
        return found.get(layer, [])


async def reader(hub: Hub, name: str | None = "dispatcher") -> Reader:
    return Reader(hub, await hub.token(name) if name else None)


def square(z: int, longitude: float, latitude: float) -> tuple[float, float]:
    """Where a place lies among the tiles of a zoom, as the usual formula has it."""
    down = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2
    return (longitude + 180) / 360 * 2**z, down * 2**z


def tile_of(z: int, place: tuple[float, float]) -> tuple[int, int, int]:
    across, down = square(z, *place)
    return z, int(across), int(down)


def corner(z: int, x: int, y: int) -> tuple[float, float]:
    """Longitude and latitude of a tile's upper left corner."""
    return x / 2**z * 360 - 180, math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / 2**z))))


def scatter(county: County, places: Iterable[tuple[float, float]], status: str = "reported") -> None:
    """Incidents at exact places in the stead of all others, past the rules that would refuse some of them."""
    rows = [(f"INC-2026-{number:06}", RANKS[number % 5], status, *place, number) for number, place in enumerate(places)]
    with psycopg.connect(county.owner_url) as owner, owner.cursor() as cursor:
        cursor.execute("alter table incidents disable trigger all")
        cursor.execute("delete from incidents")
        cursor.executemany(
            "insert into incidents (reference, kind, title, severity, certainty, urgency, status, location, "
            "occurred_at, reported_at, source, ward_id) values (%s, 'flood', 'a flood', %s, 'likely', 'past', %s, "
            "st_point(%s, %s, 4326), now(), now() + %s * interval '1 microsecond', 'phone', "
            "(select id from wards where code = '1208'))",
            rows,
        )


async def report(reader: Reader, place: tuple[float, float], severity: str = "SEVERE") -> str:
    given = {"kind": "FLOOD", "title": "Over its banks", "location": list(place), "severity": severity}
    told = await reader.hub.ask(REPORT, {"input": given}, token=reader.token)
    return str(told["reportIncident"]["incident"]["id"])


# -- one by one --------------------------------------------------------------------------------------------------------


async def test_what_was_reported_is_in_its_tile_at_every_zoom_and_in_none_for_the_public(place: Hub) -> None:
    dispatcher = await reader(place)
    id = await report(dispatcher, AHERO)
    blind = [await reader(place, name) for name in (None, "citizen", "seme", "nowhere")]
    nothing = await dispatcher.get("incidents", *tile_of(14, SEME))
    for z in range(23):
        at = tile_of(z, AHERO)
        (feature,) = await dispatcher.features("incidents", *at)
        expected = {"count": 1, "id": id, "kind": "flood", "severity": "severe", "status": "reported"}
        assert (feature.kind, feature.attributes) == (1, expected)
        across, down = square(z, *AHERO)
        assert feature.at == (int(across % 1 * 4096), int(down % 1 * 4096))
        for other in blind:
            answer = await other.get("incidents", *at)
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers == nothing.headers
        for beside in ((z, at[1] + 1, at[2]), (z, at[1], at[2] + 1), (z, at[1] - 1, at[2]), (z, at[1], at[2] - 1)):
            if min(beside) >= 0 and max(beside[1:]) < 2**z:
                assert await dispatcher.features("incidents", *beside) == []


async def test_what_is_over_is_on_no_tile(place: Hub) -> None:
    dispatcher = await reader(place)
    at = tile_of(14, AHERO)
    id = await report(dispatcher, AHERO)
    given = {"id": id, "status": "REJECTED", "note": "It was not so.", "expectedVersion": 1}
    before = await dispatcher.get("incidents", *at)
    await place.ask(MOVE, {"input": given}, token=dispatcher.token)
    after = await dispatcher.get("incidents", *at, **{"if-none-match": before.headers["etag"]})
    assert (after.status_code, after.content) == (200, b"")


async def test_ward_administrators_get_what_lies_in_their_wards(place: Hub) -> None:
    dispatcher = await reader(place)
    ids = {"ahero": await report(dispatcher, AHERO), "seme": await report(dispatcher, SEME)}
    places = {"ahero": AHERO, "seme": SEME}
    for name, id in ids.items():
        theirs = await reader(place, name)
        for z in (0, 5, 9, 12, 16):
            found = [
                feature
                for at in {tile_of(z, each) for each in places.values()}
                for feature in await theirs.features("incidents", *at)
            ]
            assert [feature["id"] for feature in found] == [id], (name, z)
    assert sum(feature["count"] for feature in await dispatcher.features("incidents", 0, 0, 0)) == 2


async def test_citizens_get_what_they_reported_themselves(place: Hub) -> None:
    citizen, dispatcher = await reader(place, "citizen"), await reader(place)
    await report(dispatcher, AHERO)
    id = await report(citizen, AHERO)
    (mine,) = await citizen.features("incidents", *tile_of(8, AHERO))
    assert (mine["id"], mine["count"]) == (id, 1)


async def test_an_administrator_gets_the_tiles_of_whoever_they_look_as(place: Hub, fresh_database: County) -> None:
    make_person(fresh_database, "root", "administrator")
    root, at = await reader(place, "root"), tile_of(14, AHERO)
    await report(root, AHERO)
    assert len(await root.features("incidents", *at)) == 1
    assert (await root.get("incidents", *at, **{"x-hub-see-as": "public"})).content == b""
    assert (await root.get("incidents", *at, **{"x-hub-see-as": "ward_administrator@1202"})).content == b""
    assert (await root.get("incidents", *at, **{"x-hub-see-as": "ward_administrator@1208"})).content != b""
    assert (await root.get("incidents", *at, **{"x-hub-see-as": "king"})).status_code == 400


# -- wards -------------------------------------------------------------------------------------------------------------


async def test_everybody_gets_every_ward_and_any_cache_may_keep_it(place: Hub) -> None:
    public = await reader(place, None)
    known = {ward["id"]: ward for ward in (await place.ask("{ wards { nodes { id code name } } }"))["wards"]["nodes"]}
    found: dict[str, dict[str, Any]] = {}
    for x in range(608, 613):
        for y in range(510, 515):
            for feature in await public.features("wards", 10, x, y):
                assert feature.kind == 3
                assert all(-64 <= step <= 4096 + 64 for part in feature.parts for point in part for step in point)
                found[feature["id"]] = feature.attributes
    assert found == known
    plain = await public.get("wards", *COUNTY)
    signed = await (await reader(place)).get("wards", *COUNTY)
    assert (plain.content, plain.headers["etag"]) == (signed.content, signed.headers["etag"])
    assert plain.headers["cache-control"] == "public, max-age=300"
    assert plain.headers["vary"] == "Accept-Encoding"


async def test_far_out_the_whole_county_lies_in_one_tile(hub: Hub) -> None:
    found = [len(await Reader(hub, None).features("wards", *tile_of(z, AHERO))) for z in range(7)]
    assert found[4:] == [35, 35, 35]
    assert 0 < found[0] < 35  # farther out, some are smaller than a step


# -- counts ------------------------------------------------------------------------------------------------------------


async def test_far_out_points_are_counted_with_the_worst_of_them(place: Hub) -> None:
    dispatcher = await reader(place)
    places = [(AHERO[0] + number * 0.0001, AHERO[1]) for number in range(3)]
    await report(dispatcher, places[0], "MINOR")
    await report(dispatcher, places[1], "EXTREME")
    await report(dispatcher, places[2], "UNKNOWN")
    alone = await report(dispatcher, SEME, "MODERATE")
    one, many = sorted(await dispatcher.features("incidents", *tile_of(6, AHERO)), key=lambda each: each["count"])
    assert many.attributes == {"count": 3, "severity": "extreme"}
    assert one.attributes == {"count": 1, "id": alone, "kind": "flood", "severity": "moderate", "status": "reported"}
    close = await dispatcher.features("incidents", *tile_of(15, AHERO))
    assert [feature["severity"] for feature in close] == ["unknown", "minor", "extreme"]  # the worst is drawn last
    assert {feature["count"] for feature in close} == {1}


REGION = st.tuples(st.floats(33, 37), st.floats(-2, 2))
TOWN = st.tuples(st.floats(34.7, 34.8), st.floats(-0.12, -0.08))
CORNERS = st.integers(5, 22).flatmap(
    lambda z: st.builds(
        lambda x, y: corner(z, x, y),
        st.integers(int(square(z, 33.01, 0)[0]) + 1, int(square(z, 36.99, 0)[0])),
        st.integers(int(square(z, 33, 1.99)[1]) + 1, int(square(z, 33, -1.99)[1])),
    )
)
"""Places where four tiles meet."""


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@example(places=[(34.75, 5e-324), (34.75, -1e-300)], z=14, most=3)  # PostgreSQL refuses radians() of the like
@given(
    places=st.lists(st.one_of(REGION, TOWN, CORNERS, st.just((33.75, 0.0))), min_size=1, max_size=40),
    z=st.integers(0, 22),
    most=st.sampled_from([3, 5_000]),
)
async def test_every_point_is_in_one_tile_once(
    place: Hub, fresh_database: County, places: list[tuple[float, float]], z: int, most: int
) -> None:
    scatter(fresh_database, places)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "MOST_SINGLES", most)
        around = set()
        for each in places:
            across, down = square(z, *each)
            around |= {
                (min(max(int(across + by), 0), 2**z - 1), min(max(int(down + to), 0), 2**z - 1))
                for by in (-1e-5, 1e-5)
                for to in (-1e-5, 1e-5)
            }
        dispatcher = Reader(place, await _once(place, "dispatcher"))
        total = 0
        for x, y in around:
            features = await dispatcher.features("incidents", z, x, y)
            assert all((feature["count"] == 1) is ("id" in feature.attributes) for feature in features)
            assert all(0 <= step < 4096 for feature in features for step in feature.at)
            cells = [(feature.at[0] // 256, feature.at[1] // 256) for feature in features]
            if z < 12 or sum(feature["count"] for feature in features) > most:
                assert len(set(cells)) == len(cells)
            else:
                assert {feature["count"] for feature in features} <= {1}
            total += sum(feature["count"] for feature in features)
        assert total == len(places)


async def _once(hub: Hub, name: str) -> str:
    held = hub.__dict__.setdefault("held", {})
    if name not in held:
        held[name] = await hub.token(name)
    return str(held[name])


async def test_hundreds_of_points_add_up_at_every_zoom(place: Hub, fresh_database: County) -> None:
    chance = random.Random(42)
    places = [(chance.uniform(34.3, 35.3), chance.uniform(-0.5, 0.1)) for _ in range(700)]
    scatter(fresh_database, places)
    dispatcher = await reader(place)
    worst: set[str] = set()
    for z in range(14):
        total = 0
        ids: list[str] = []
        for at in {tile_of(z, each) for each in places}:
            features = await dispatcher.features("incidents", *at)
            total += sum(feature["count"] for feature in features)
            ids += [feature["id"] for feature in features if feature["count"] == 1]
            worst |= {feature["severity"] for feature in features}
        assert total == 700, z
        assert len(set(ids)) == len(ids)
        assert (len(ids) == 700) or z < 12
    assert worst == set(RANKS)


async def test_a_crowded_tile_is_counted_at_any_zoom(
    place: Hub, fresh_database: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter(fresh_database, [AHERO] * 40)
    dispatcher = await reader(place)
    monkeypatch.setattr(tiles, "MOST_SINGLES", 40)
    for z in (12, 22):
        assert [each["count"] for each in await dispatcher.features("incidents", *tile_of(z, AHERO))] == [1] * 40
    monkeypatch.setattr(tiles, "MOST_SINGLES", 39)
    for z in (12, 22):
        (all_,) = await dispatcher.features("incidents", *tile_of(z, AHERO))
        assert all_.attributes == {"count": 40, "severity": "extreme"}


# -- asking again ------------------------------------------------------------------------------------------------------


async def test_a_tile_that_is_held_is_not_sent_again(place: Hub, fresh_database: County) -> None:
    dispatcher = await reader(place)
    scatter(fresh_database, [AHERO])
    at = tile_of(14, AHERO)
    first = await dispatcher.get("incidents", *at)
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Cookie, Authorization, X-Hub-See-As"
    tag = first.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    assert (await dispatcher.get("incidents", *at)).headers["etag"] == tag
    for shown in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        again = await dispatcher.get("incidents", *at, **{"if-none-match": shown})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == "private, no-cache"
        assert again.headers["vary"] == first.headers["vary"]
    # Who may not see it is not told that the copy is good.
    other = await reader(place, "seme")
    answer = await other.get("incidents", *at, **{"if-none-match": tag})
    assert (answer.status_code, answer.content) == (200, b"")
    scatter(fresh_database, [AHERO, AHERO])
    assert (await dispatcher.get("incidents", *at, **{"if-none-match": tag})).status_code == 200


async def test_each_form_of_a_tile_has_a_tag_of_its_own(place: Hub, fresh_database: County) -> None:
    """Packed by the app's middleware, from the size on that it packs."""
    dispatcher = await reader(place)
    sizes = set()
    for number in (1, 10, 20, 30, 300):
        scatter(fresh_database, [AHERO] * number)
        at = tile_of(14, AHERO)
        plain = await dispatcher.get("incidents", *at, **{"accept-encoding": "identity"})
        packed = await dispatcher.get("incidents", *at, **{"accept-encoding": "br, gzip"})
        large = len(plain.content) >= tiles.PACKED_FROM
        sizes.add(large)
        assert plain.content == packed.content
        assert "content-encoding" not in plain.headers
        assert (packed.headers.get("content-encoding") == "gzip") is large
        assert packed.headers["etag"] == plain.headers["etag"][:-1] + ('-gzip"' if large else '"')
        assert plain.headers["vary"] == packed.headers["vary"]
        assert ("Accept-Encoding" in plain.headers["vary"]) is large
        if large:
            assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
        for answer, encoding in ((plain, "identity"), (packed, "gzip")):
            shown = {"accept-encoding": encoding, "if-none-match": answer.headers["etag"]}
            again = await dispatcher.get("incidents", *at, **shown)
            assert (again.status_code, again.headers["etag"]) == (304, answer.headers["etag"])
            assert again.headers["vary"] == answer.headers["vary"]
    assert sizes == {True, False}


# -- what is refused, and what is known without asking -----------------------------------------------------------------


@pytest_asyncio.fixture
async def nowhere() -> AsyncIterator[Hub]:
    """A hub without a database: what it answers, it answers alone."""
    async with running("postgresql://nobody@127.0.0.1:9/none") as hub:
        yield hub


WHOLE = "send a whole number from 0 to"
PLAIN = "in plain decimal digits."


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (
            "roads/0/0/0",
            404,
            "layer: there is none of this name; there are wards, incidents, vehicles, tracks, patrols.",
        ),
        (
            "Wards/0/0/0",
            404,
            "layer: there is none of this name; there are wards, incidents, vehicles, tracks, patrols.",
        ),
        ("wards/23/0/0", 400, f"z: {WHOLE} 22, {PLAIN}"),
        ("wards/-1/0/0", 400, f"z: {WHOLE} 22, {PLAIN}"),
        ("wards/01/0/0", 400, f"z: {WHOLE} 22, {PLAIN}"),
        ("wards/1.0/0/0", 400, f"z: {WHOLE} 22, {PLAIN}"),
        ("wards/%D9%A3/0/0", 400, f"z: {WHOLE} 22, {PLAIN}"),
        ("wards/+1/0/0", 400, f"z: {WHOLE} 22, {PLAIN}"),
        ("wards/1%0A/0/0", 400, f"z: {WHOLE} 22, {PLAIN}"),
        ("incidents/3/8/0", 400, f"x: {WHOLE} 7 at zoom 3, {PLAIN}"),
        ("incidents/3/1e0/0", 400, f"x: {WHOLE} 7 at zoom 3, {PLAIN}"),
        ("incidents/0/0/1", 400, f"y: {WHOLE} 0 at zoom 0, {PLAIN}"),
        ("incidents/22/0/4194304", 400, f"y: {WHOLE} 4194303 at zoom 22, {PLAIN}"),
        ("incidents/3/0/0x1", 400, f"y: {WHOLE} 7 at zoom 3, {PLAIN}"),
        ("incidents/3/0/1_0", 400, f"y: {WHOLE} 7 at zoom 3, {PLAIN}"),
        ("incidents/3/0/" + "9" * 5000, 400, f"y: {WHOLE} 7 at zoom 3, {PLAIN}"),
        ("incidents/3/0/ 1", 400, f"y: {WHOLE} 7 at zoom 3, {PLAIN}"),
    ],
)
async def test_a_path_that_names_no_tile_is_told_what_is_right(
    nowhere: Hub, path: str, status: int, message: str
) -> None:
    answer = await nowhere.http.get(f"/tiles/{path}.mvt")
    code = {400: "BAD_USER_INPUT", 404: "NOT_FOUND"}[status]
    assert answer.status_code == status
    assert answer.json() == {"errors": [{"message": message, "extensions": {"code": code}}]}
    assert answer.headers["cache-control"] == "no-store"


async def test_other_paths_and_methods_are_no_tiles(nowhere: Hub) -> None:
    for path in ("wards/0/0/0", "wards/0/0/0.png", "wards/0/0.mvt", "wards/0/0/0/0.mvt"):
        assert (await nowhere.http.get(f"/tiles/{path}")).status_code == 404
    assert (await nowhere.http.post("/tiles/wards/0/0/0.mvt")).status_code == 405


async def test_tiles_beyond_the_region_need_no_database(nowhere: Hub) -> None:
    nairobi_east, europe = (39.0, -1.3), (13.4, 52.5)
    for layer in tiles.LAYERS:
        for place in (nairobi_east, europe, (-34.8, 0.1), (179.9, 0.0)):
            for z in (8, 14, 22):
                answer = await Reader(nowhere, None).get(layer, *tile_of(z, place))
                assert (answer.status_code, answer.content) == (200, b""), (layer, place, z)
        answer = await Reader(nowhere, None).get(layer, *tile_of(14, AHERO))
        assert answer.status_code == 503  # here it would be needed
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert "retry-after" in answer.headers


async def test_a_token_that_is_no_good_gets_no_tile(place: Hub) -> None:
    answer = await Reader(place, "hub_nonsense").get("incidents", *COUNTY)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


# -- on a map ----------------------------------------------------------------------------------------------------------

DRAW = """async (library) => {
  const { Map } = await import(library);
  const place = document.createElement("div");
  place.style.cssText = "position:fixed;inset:0;z-index:99";
  document.body.append(place);
  const source = (layer) => ({ type: "vector", tiles: [`${location.origin}/tiles/${layer}/{z}/{x}/{y}.mvt`] });
  const map = new Map({
    container: place, center: [34.9, -0.2], zoom: 9, fadeDuration: 0,
    style: {
      version: 8,
      sources: { wards: source("wards"), incidents: source("incidents") },
      layers: [
        { id: "wards", type: "fill", source: "wards", "source-layer": "wards" },
        { id: "incidents", type: "circle", source: "incidents", "source-layer": "incidents" },
      ],
    },
  });
  const errors = [];
  map.on("error", (event) => errors.push(String(event.error)));
  await map.once("idle");
  const found = (id) => map.queryRenderedFeatures({ layers: [id] }).map((feature) => feature.properties.name);
  return { errors, wards: [...new Set(found("wards"))].sort(), incidents: found("incidents").length };
}"""


@pytest.mark.browser
async def test_a_map_draws_the_wards_and_takes_a_tile_of_nothing_for_what_it_is(visit: Visit) -> None:
    page = await visit("/")
    loaded: list[tuple[str, int]] = []
    page.on("response", lambda answer: loaded.append((answer.url, answer.status)) if "/tiles/" in answer.url else None)
    library = f"/static/vendor/maplibre-gl-{assets.versions()['maplibre-gl']}/maplibre-gl.mjs"
    drawn = await page.evaluate(DRAW, library)
    assert drawn["errors"] == []
    assert len(drawn["wards"]) == 35
    assert "Ahero" in drawn["wards"]
    assert drawn["incidents"] == 0  # nobody is signed in
    assert {status for _, status in loaded} == {200}
    assert {url.split("/tiles/")[1].split("/")[0] for url, _ in loaded} == {"wards", "incidents"}


# -- the statements ----------------------------------------------------------------------------------------------------


async def test_rows_are_looked_up_by_their_place(place: Hub, fresh_database: County) -> None:
    chance = random.Random(7)
    scatter(fresh_database, [(chance.uniform(34.3, 35.3), chance.uniform(-0.5, 0.1)) for _ in range(5_000)])
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as owner:
        owner.execute("analyze incidents")
        (person,) = owner.execute("select id::text from people where name = 'ahero'").fetchone() or ("",)
        (ward,) = owner.execute("select id::text from wards where code = '1208'").fetchone() or ("",)
    callers = [
        Caller(Scope.COUNTY, person, ("citizen", "dispatcher")),
        Caller(Scope.AREA, person, ("citizen", "ward_administrator"), (ward,)),
        PUBLIC,
    ]
    index = {
        "wards": "wards_boundary",
        "incidents": "incidents_open_location",
        "vehicles": "latest_positions_location",
        "patrols": "patrols_route",
    }
    # Tracks are put together vehicle by vehicle: the index of a vehicle's times finds them.
    assert index.keys() | {"tracks"} == tiles.LAYERS.keys()
    z, x, y = tile_of(14, AHERO)
    for name in index:
        layer = tiles.LAYERS[name]
        box = tiles._box(layer, z, x, y)
        assert box is not None
        for caller in callers if name in ("wards", "incidents") else callers[:1]:
            async with place.app.state.sessions.connection(caller) as connection, connection.transaction():
                if name != "incidents":  # so few that reading all of them is as quick
                    await connection.execute("set local enable_seqscan = off")
                plan = await connection.fetch(f"explain {layer.statement(z)}", *layer.parameters(z, x, y, box))
            text = "\n".join(line for (line,) in plan)
            if caller is PUBLIC and name == "incidents":
                assert "Tid Scan on incidents" in text, text
            else:
                assert f"on {index[name]}" in text or f"using {index[name]}" in text, text
                assert "Seq Scan on incidents" not in text


async def test_who_sees_all_incidents_gets_tiles_from_the_index_alone(place: Hub, fresh_database: County) -> None:
    chance = random.Random(11)
    scatter(fresh_database, [(chance.uniform(34.3, 35.3), chance.uniform(-0.5, 0.1)) for _ in range(5_000)])
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as owner:
        owner.execute("vacuum analyze incidents")
        (person,) = owner.execute("select id::text from people where name = 'ahero'").fetchone() or ("",)
    layer, caller = tiles.LAYERS["incidents"], Caller(Scope.COUNTY, person, ("citizen", "dispatcher"))
    assert isinstance(layer, tiles.Points)
    for zoom in (9, 14):
        z, x, y = tile_of(zoom, AHERO)
        box = tiles._box(layer, z, x, y)
        assert box is not None
        async with place.app.state.sessions.connection(caller) as connection, connection.transaction():
            plan = await connection.fetch(f"explain {layer.statement(z)}", *layer.parameters(z, x, y, box))
        text = "\n".join(line for (line,) in plan)
        assert "Index Only Scan using incidents_open_location" in text, text
        if zoom < layer.singles_from:
            # Counted as they come, not put in order first; and what lies alone in its cell is looked up by itself.
            assert "HashAggregate" in text, text
            assert "Sort" not in text, text
            assert "Nested Loop Left Join" in text, text


def test_a_cluster_knows_every_severity() -> None:
    layer = tiles.LAYERS["incidents"]
    assert isinstance(layer, tiles.Points)
    assert set(layer.ranks) == {severity.value for severity in Severity}


async def test_a_layer_more_is_an_entry_more(
    place: Hub, fresh_database: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points that have no worst, and lines that are not for everybody."""
    rows = "select id::text, kind, location as shape from incidents"
    lines = "select id::text, st_makeline(location, st_point(34.9, -0.1, 4326)) as shape from incidents"
    monkeypatch.setitem(tiles.LAYERS, "all", tiles.Points("all", rows, ("id", "kind"), singles_from=14))
    monkeypatch.setitem(tiles.LAYERS, "lines", tiles.Shapes("lines", lines, ("id",)))
    scatter(fresh_database, [AHERO, AHERO, SEME], status="closed")
    dispatcher, public = await reader(place), await reader(place, None)
    counted = await dispatcher.features("all", *tile_of(9, AHERO))
    assert [each.attributes.keys() for each in counted if each["count"] > 1] == [{"count"}]
    alone = await dispatcher.features("all", *tile_of(14, AHERO))
    assert [each.attributes.keys() for each in alone] == [{"id", "kind", "count"}] * 2
    drawn = await dispatcher.features("lines", *tile_of(9, AHERO))
    assert [each.kind for each in drawn] == [2] * 3
    for layer in ("all", "lines"):
        assert await public.features(layer, *tile_of(9, AHERO)) == []
        assert (await public.get(layer, *tile_of(9, AHERO))).headers["cache-control"] == "private, no-cache"


# -- what moves --------------------------------------------------------------------------------------------------------


async def test_vehicles_tracks_and_patrols_are_for_whoever_sees_the_fleet(place: Hub, fresh_database: County) -> None:
    with psycopg.connect(fresh_database.owner_url) as owner:
        owner.execute("set role hub_owner")
        (vehicle,) = owner.execute(
            "insert into vehicles (plate, kind) values ('KDA 001X', 'patrol_car') returning id"
        ).fetchone() or (None,)
        (device,) = owner.execute(
            "insert into devices (vehicle_id, label) values (%s, 'tracker') returning id", (vehicle,)
        ).fetchone() or (None,)
        owner.execute(
            "select take_fixes(array_fill(%s::uuid, array[3]), "
            "(select array_agg(extract(epoch from now()) - ago order by ago desc) from unnest(array[120, 60, 0]) ago), "
            "array[34.90, 34.91, 34.92], array[-0.17, -0.17, -0.17], %s, %s, %s, %s, %s, %s, %s)",
            (device, *([[None] * 3] * 5), [""] * 3, [None] * 3),
        )
        owner.execute(
            "with u as (insert into units (name) values ('Ahero market') returning id) "
            "insert into patrols (unit_id, planned_start, planned_end, route) "
            "select id, now(), now() + interval '1 hour', "
            "st_multi(st_makeline(st_point(34.90, -0.17, 4326), st_point(34.93, -0.17, 4326))) from u"
        )
    desk = await reader(place)
    (car,) = await desk.features("vehicles", *tile_of(14, (34.92, -0.17)))
    assert (car.attributes["plate"], car.attributes["kind"], car.attributes["count"]) == ("KDA 001X", "patrol_car", 1)
    (track,) = await desk.features("tracks", *tile_of(12, (34.91, -0.17)))
    assert track.attributes["plate"] == "KDA 001X"
    (patrol,) = await desk.features("patrols", *tile_of(12, (34.91, -0.17)))
    assert patrol.attributes["status"] == "planned"
    assert [each.attributes["count"] for each in await desk.features("vehicles", 0, 0, 0)] == [1]
    for name in ("ahero", "citizen", None):
        other = await reader(place, name)
        for layer in ("vehicles", "tracks", "patrols"):
            assert await other.features(layer, 0, 0, 0) == []
