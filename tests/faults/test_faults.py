"""Short rounds of what `make prove` does at length: a few seconds each, with a seed that is printed when one fails."""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.checking import compare, left_open
from tests.faults.ground import Ground, within
from tests.faults.hearing import Audience
from tests.faults.load import REPORT, Load, verdict_of
from tests.faults.order import out_of_order

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CLIENTS = 4


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """A cluster that may be killed, and a hub of two workers over it."""
    with Ground(workers=2) as ground:
        ground.person("dispatcher", "dispatcher")
        ground.start_hub()
        yield ground


@pytest.fixture
def seed() -> int:
    made = random.SystemRandom().randrange(1_000_000)
    print(f"seed {made}")
    return made


def held(ground: Ground, load: Load) -> int:
    """Every promise of the load, compared with what is there; the number of acknowledged facts."""
    tally = load.tally()
    with ground.owner() as owner:
        found = compare(owner, tally)
        locks = left_open(owner)
    assert found.wrong == []
    assert locks == []
    assert found.facts > 0
    return found.facts


def at_work(load: Load, since: float) -> None:
    """Until something was stored after that moment."""
    within(lambda: load.acknowledged_since(since))


@pytest.mark.parametrize("fault", ["worker", "hub", "backend", "stop", "postmaster"])
def test_what_was_acknowledged_is_there_once_whatever_was_killed(ground: Ground, seed: int, fault: str) -> None:
    with Load(ground, ["dispatcher"], seed, CLIENTS) as load:
        within(lambda: load.acknowledged > 10)
        match fault:
            case "worker":
                ground.kill_worker(seed)
            case "hub":
                ground.kill_hub()
            case "backend":
                ground.kill_backend()
            case "stop":
                ground.break_database(signal.SIGQUIT)
            case "postmaster":
                ground.break_database(signal.SIGKILL)
        at_work(load, time.monotonic())
        time.sleep(0.3)
    held(ground, load)


def test_subscribers_take_up_where_they_were_when_workers_and_the_database_die(ground: Ground, seed: int) -> None:
    with ground.door("dispatcher") as door:
        assert door.ask(REPORT, {"input": one()}).code == ""
    ground.await_sealed()
    with Audience(ground, seed, 2) as audience:
        with Load(ground, ["dispatcher"], seed, CLIENTS) as load:
            within(lambda: load.acknowledged > 10)
            ground.kill_worker(seed)
            ground.break_database(signal.SIGQUIT)
            at_work(load, time.monotonic())
        heard = audience.compare()
    assert heard.wrong == []
    assert heard.counts == [heard.events] * 2
    assert (heard.twice, heard.disordered) == (0, 0)
    assert heard.events > 10


def test_the_same_sent_by_many_at_once_and_in_any_order_happens_once(ground: Ground, seed: int) -> None:
    dice = random.Random(seed)
    keys = [f"batch{seed:x}x0x{number}x" for number in range(12)]
    told: dict[str, set[str]] = {key: set() for key in keys}
    failures: list[str] = []

    def send(which: int) -> None:
        mine = keys * 3
        random.Random(f"{seed}/{which}").shuffle(mine)
        with ground.door("dispatcher") as door:
            for key in mine:
                answer = door.ask(REPORT, {"input": one(title=f"Flood {key}", clientMutationId=key)})
                if answer.code:
                    failures.append(f"{answer.status} {answer.message}")
                else:
                    told[key].add(answer.data["reportIncident"]["incident"]["id"])

    threads = [threading.Thread(target=send, args=(which,)) for which in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {len(ids) for ids in told.values()} == {1}
    with ground.owner() as owner:
        for key in dice.sample(keys, 12):
            row = owner.execute("select count(*) from incidents where title = %s", (f"Flood {key}",)).fetchone()
            assert row == (1,)
    with ground.door("dispatcher") as door:
        other = door.ask(REPORT, {"input": one(title="Something else", clientMutationId=keys[0])})
        assert (other.status, other.code) == (409, "CONFLICT")


def test_no_reader_misses_what_was_committed_out_of_order(ground: Ground, seed: int) -> None:
    ground.await_answers()
    with ground.door("dispatcher") as door:
        assert door.ask(REPORT, {"input": one()}).code == ""
    ground.await_sealed()
    heard = out_of_order(ground, seed, 1.5)
    assert heard.wrong == ()
    assert set(heard.heard) == {heard.written}
    assert heard.overtaken > 0


POISON = {
    "NUL": ({"title": "Flood\x00"}, "input.title: the text holds a character that no database can store"),
    "half a pair": ({"title": "Flood \ud800"}, "input.title: "),
    "a megabyte": ({"description": "x" * 1_000_000}, ""),
    "too long a text": ({"description": "x" * 5_001}, "input.description has 5,001 letters"),
    "no number": ({"location": ["34.9", float("1e300")]}, "location"),
    "NUL in the key": ({"clientMutationId": "key\x00"}, "input.clientMutationId: "),
    "half a pair in the key": ({"clientMutationId": "key\udfff"}, "input.clientMutationId: "),
    "NUL in a name": ({"reporterName": "Ati\x00eno"}, "input.reporterName: "),
}


@pytest.mark.parametrize("name", POISON)
def test_poison_amid_others_reports_is_refused_and_spoils_none_of_them(ground: Ground, seed: int, name: str) -> None:
    more, said = POISON[name]
    marker = f"poison{seed:x}"
    with Load(ground, ["dispatcher"], seed, 2) as load:
        within(lambda: load.acknowledged > 3)
        body = json.dumps({"query": REPORT, "variables": {"input": one(place=marker, **more)}}).encode()
        for _ in range(3):
            with ground.door("dispatcher") as door:
                answer = door.send(body)
                assert 400 <= answer.status < 500, (answer.status, answer.body[:500])
                assert answer.code in {"BAD_USER_INPUT", "QUERY_TOO_COMPLEX"}, answer.body
                assert verdict_of(answer) == "refused"
                assert said in answer.message
        at_work(load, time.monotonic())
    held(ground, load)
    with ground.owner() as owner:
        row = owner.execute("select count(*) from incidents where place = %s", (marker,)).fetchone()
        assert row == (0,)


def test_the_journal_verifies_after_all_of_it(ground: Ground) -> None:
    ground.await_sealed()
    verified = ground.run("journal", "verify")
    assert verified.returncode == 0, verified.stdout
    assert "All of them are as they were written." in verified.stdout


def one(**more: object) -> dict[str, object]:
    return {"kind": "FLOOD", "title": "One flood", "location": [34.9189, -0.1723], "severity": "SEVERE", **more}
