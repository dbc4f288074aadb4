"""Every path that the hub answers: none of them says what its caller may not see. A path that is not listed here fails,
so that no door is opened unseen."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from graphql import get_introspection_query
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Mount, Route

from schema.layers import LAYERS
from tests.leaks.callers import CALLERS
from tests.leaks.conftest import World, opened
from tests.leaks.questions import NOBODYS, SDL, reads
from tests.leaks.test_answers import SIFTING, SPREAD, all_questions, leaked
from tests.leaks.world import canaries
from tests.tiles import read

if TYPE_CHECKING:
    import httpx

DOORS = {
    "/graphql": "test_answers.py, test_changes.py; by GET below; the websocket in test_live.py",
    "/graphql/sql": "below: statements hold no values",
    "/graphql/explain": "test_plans.py",
    "/health/live": "below",
    "/health/ready": "below",
    "/metrics": "below: it counts for whoever operates the machine, and holds nothing of a row",
    "/": "below",
    "/static/{name:path}": "below",
    "/favicon.ico": "below",
    "/sign-in": "below",
    "/welcome": "below",
    "/welcome/invitation": "below",
    "/welcome/acceptance": "below",
    "/intake/osmand": "below: devices write, and read nothing",
    "/intake/owntracks": "below: devices write, and read nothing",
    "/intake/batch": "below: devices write, and read nothing",
    "/photos/{id}": "below",
    "/photos/{id}/thumbnail": "below",
    "/incidents/{id}/photos": "below",
    "/tiles/{layer}/{z}/{x}/{y}.mvt": "below",
    "/export/{layer}.{format}": "below",
    "/demonstration": "below: it says that there is none; tests/hub/test_demonstration.py",
    "/demonstration/sign-in": "tests/hub/test_demonstration.py: where the county works nobody gets in by it",
}
"""Each path, and where it is tried. Whoever adds a path says here how the matrix tries it."""

SUBSCRIPTIONS = dict.fromkeys(("incidentChanged", "vehicleMoved", "areaCrossed", "patrolChanged"), "test_live.py")
"""Each subscription, and where it is tried."""


async def test_every_door_is_known(world: World) -> None:
    async with opened(world.county) as hub:
        found = set()
        for route in hub.app.routes:
            assert not isinstance(route, Mount), f"{route.path} is mounted: list each path below it in DOORS"
            found.add(getattr(route, "path", repr(route)))
        assert found == DOORS.keys()


def test_every_subscription_is_known() -> None:
    assert set(SDL.subscription_type.fields if SDL.subscription_type else ()) == SUBSCRIPTIONS.keys()


async def test_no_page_and_no_check_tells_anything(world: World) -> None:
    async with opened(world.county) as hub:
        plain = [
            route.path.replace("{name:path}", "main.js")
            for route in hub.app.routes
            if isinstance(route, Route) and "GET" in (route.methods or ())
        ]
        assert len(plain) > 6
        for caller in CALLERS:
            head = world.headers(caller)
            answers: list[httpx.Response] = []
            for path in [*plain, "/graphql?query={incidents{nodes{title}}}", "/nowhere"]:
                answers.append(await hub.http.get(path, headers=head))
                answers.append(await hub.http.get(path, headers={**head, "accept": "text/html"}))
            for path in ("/welcome/invitation", "/welcome/acceptance"):
                given = {"code": "zq", "displayName": "Somebody", "password": "lantern harbour millet"}
                answers.append(await hub.http.post(path, json=given, headers={**head, "x-hub": "1"}))
            for answer in answers:
                told = canaries(answer.text) | canaries(str(answer.headers))
                assert not told & world.facts.register.keys(), (caller.name, answer.request.url)


async def test_a_photo_goes_out_to_whoever_sees_its_incident(world: World) -> None:
    """To everybody else it answers as a photo does that never was."""
    facts = world.facts
    async with opened(world.county) as hub:
        for caller in (each for each in CALLERS if not each.gone):
            head, seen = world.headers(caller), facts.seen(caller, "photos")
            for size, kind in (("", "image"), ("/thumbnail", "thumbnail")):
                never = await hub.http.get(f"/photos/{NOBODYS}{size}", headers=head)
                assert never.status_code == 404
                for key, row in facts.rows["photos"].items():
                    answer = await hub.http.get(f"/photos/{key}{size}", headers=head)
                    if key in seen:
                        assert answer.status_code == 200, (caller.name, key)
                        assert answer.content == bytes.fromhex(row[kind][2:])
                    else:
                        assert (answer.status_code, answer.content) == (404, never.content), (caller.name, key)
                        told = canaries(answer.text) | canaries(str(answer.headers))
                        assert not told & facts.register.keys(), caller.name


async def test_a_photo_comes_in_from_whoever_may_change_its_incident(world: World) -> None:
    """What is sent here is no photo, so that nothing is stored; to be told so is for those who could have sent one."""
    facts = world.facts
    async with opened(world.county) as hub:
        for caller in (each for each in CALLERS if not each.gone):
            head = {**world.headers(caller), "x-hub": "1", "content-type": "image/jpeg"}
            may = facts.seen(caller, "incidents", "write") & facts.seen(caller, "incidents")
            never = await hub.http.post(f"/incidents/{NOBODYS}/photos", content=b"no photo at all", headers=head)
            assert never.status_code == (401 if caller.person is None else 403 if caller.sees_as else 404)
            for key in facts.rows["incidents"]:
                answer = await hub.http.post(f"/incidents/{key}/photos", content=b"no photo at all", headers=head)
                if key in may:
                    assert answer.status_code == 415, (caller.name, key)
                else:
                    assert (answer.status_code, answer.content) == (never.status_code, never.content), caller.name


async def test_tiles_hold_exactly_the_open_incidents_that_their_reader_sees(world: World) -> None:
    """One by one where there is room, counted where there is none. Who sees none gets what everybody gets where nothing
    is, word by word."""
    facts = world.facts
    open_ = {key: row for key, row in facts.rows["incidents"].items() if row["status"] not in ("closed", "rejected")}
    assert open_.keys() < facts.rows["incidents"].keys()
    places = [row["location"]["coordinates"] for row in facts.rows["incidents"].values()]
    zooms = {z: {_tile(z, *place) for place in places} for z in (0, 4, 8, 10, 12, 14, 17, 22)}
    async with opened(world.county) as hub:
        for caller in CALLERS:
            head = world.headers(caller)
            if caller.gone:
                answer = await hub.http.get("/tiles/incidents/0/0/0.mvt", headers=head)
                assert (answer.status_code, canaries(answer.text)) == (401, set())
                continue
            seen = facts.seen(caller, "incidents") & open_.keys()
            nothing = await hub.http.get(f"/tiles/incidents/{_tile(14, 34.1, 0.5)}.mvt", headers=head)
            assert (nothing.status_code, nothing.content) == (200, b"")
            for z, tiles in zooms.items():
                found: list[str] = []
                count = 0
                for tile in tiles:
                    answer = await hub.http.get(f"/tiles/incidents/{tile}.mvt", headers=head)
                    features = read(answer.content).get("incidents", [])
                    for feature in features:
                        count += feature["count"]
                        if feature["count"] > 1:
                            assert feature.attributes.keys() == {"count", "severity"}
                            continue
                        row = open_[feature["id"]]
                        assert feature.attributes == {
                            "count": 1,
                            "id": feature["id"],
                            **{name: row[name] for name in ("kind", "severity", "status")},
                        }
                        found.append(feature["id"])
                    told = canaries(answer.content.decode("latin-1")) | canaries(str(answer.headers))
                    assert told & facts.register.keys() <= seen, (caller.name, tile)
                    if not features:
                        assert (answer.content, answer.headers) == (nothing.content, nothing.headers)
                assert count == len(seen), (caller.name, z)
                assert len(found) == len(set(found))
                assert set(found) == seen if z >= 12 else set(found) <= seen, (caller.name, z)


async def test_tiles_of_wards_are_the_same_for_everybody(world: World) -> None:
    async with opened(world.county) as hub:
        path = f"/tiles/wards/{_tile(10, 34.9, -0.2)}.mvt"
        answers = [await hub.http.get(path, headers=world.headers(caller)) for caller in CALLERS]
        (content,) = {(answer.status_code, answer.content, str(answer.headers)) for answer in answers}
        assert read(content[1])["wards"]
        assert not canaries(content[1].decode("latin-1")) & world.facts.register.keys()


def _tile(z: int, longitude: float, latitude: float) -> str:
    down = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2
    return f"{z}/{int((longitude + 180) / 360 * 2**z)}/{int(down * 2**z)}"


async def test_exports_hold_exactly_what_their_reader_sees(world: World) -> None:
    tables = {"incidents": "incidents", "vehicles": "vehicles", "positions": "positions", "patrols": "patrols"}
    facts = world.facts
    async with opened(world.county) as hub:
        for caller in CALLERS:
            for layer in LAYERS:
                answer = await hub.http.get(f"/export/{layer}.csv", headers=world.headers(caller))
                if caller.gone:
                    assert answer.status_code == 401
                assert leaked(facts, caller, answer, "") == [], (caller.name, layer)
                if caller.gone:
                    continue
                answer = await hub.http.get(f"/export/{layer}.geojson", headers=world.headers(caller))
                assert leaked(facts, caller, answer, "") == [], (caller.name, layer)
                found = {feature["properties"]["id"] for feature in answer.json()["features"]}
                if layer in tables:
                    assert found == facts.seen(caller, tables[layer]), (caller.name, layer)


async def test_the_schema_holds_no_secret(world: World) -> None:
    async with opened(world.county) as hub:
        for caller in CALLERS:
            answer = await hub.post(get_introspection_query(), headers=world.headers(caller))
            assert leaked(world.facts, caller, answer, "") == []


async def test_a_shown_statement_holds_no_value(world: World) -> None:
    """Neither of the rows, which it never reads, nor of the question: what is bound stands beside it."""
    async with opened(world.county) as hub:
        assert hub.settings.server.shows_statements
        for number, question in enumerate(reads(world.facts)):
            if question.about.endswith(SIFTING) and number % SPREAD:
                continue  # thousands that differ in their values alone
            answer = await hub.http.post("/graphql/sql", json={"query": question.document})
            assert answer.status_code == 200, (question, answer.text)
            assert canaries(answer.json()["statement"]) == set(), question
            assert canaries(answer.text) <= canaries(question.document) | canaries(question.document.replace("\\", ""))


LABELS = {
    "about", "code", "database", "door", "layer", "le", "operation", "outcome", "pool", "reason", "scope", "step",
    "ward", "what", "why", "worker",
}  # fmt: skip
"""What figures are told apart by. None of it may be a person, a device, or a place finer than a ward."""


async def test_figures_tell_of_no_person_no_device_and_no_place_finer_than_a_ward(world: World) -> None:
    facts = world.facts
    async with opened(world.county) as hub:
        for caller in CALLERS:
            for key in list(facts.rows["incidents"])[:2]:
                asked = f'query {next(iter(facts.register))} {{ incident(id: "{key}") {{ title }} }}'
                await hub.post(asked, headers=world.headers(caller))
                await hub.http.get(f"/photos/{key}", headers=world.headers(caller))
        text = (await hub.http.get("/metrics")).text
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {name for sample in found for name in sample.labels} <= LABELS
    wards = {code for code in facts.codes.values() if len(code) == 4}
    counted = {sample.labels["ward"] for sample in found if "ward" in sample.labels}
    assert counted & wards
    assert counted <= wards | {"never heard", "outside"}
    said = {value for sample in found for value in sample.labels.values()}
    rows = [row for table in ("people", "vehicles", "devices", "incidents") for row in facts.rows[table].values()]
    secrets = {str(value) for row in rows for name, value in row.items() if name in SAID_OF_ROWS and value}
    assert len(secrets) > 20
    assert not said & secrets
    assert not canaries(text) & facts.register.keys()
    assert re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text) is None


SAID_OF_ROWS = {"id", "name", "display_name", "plate", "call_sign", "label", "title", "reference"}


async def test_what_the_timing_says_is_numbers(world: World) -> None:
    async with opened(world.county) as hub:
        for question in (await all_questions(world, hub))[:30]:
            answer = await hub.post(question.document)
            for step in answer.headers["server-timing"].split(", "):
                name, _, duration = step.partition(";dur=")
                assert name in {"parse", "compile", "database", "total"}
                assert float(duration) >= 0
