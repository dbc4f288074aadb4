"""Documents that cost more than they say, sent on and on beside people who only want to read."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field

from tests.faults.ground import Cut, Ground, NotSent

DOUBLING = " ".join(f"fragment F{at} on Query {{ ...F{at + 1} ...F{at + 1} }}" for at in range(24))
FILTERED = "query($v: WardFilter) { wards(where: $v) { totalCount } }"


def _deep(value: object, levels: int) -> object:
    for _ in range(levels):
        value = {"not": value}
    return value


FLOODS: dict[str, tuple[str, object]] = {
    "101 aliases": ("{ county { " + " ".join(f"a{at}: id" for at in range(101)) + " } }", None),
    "aliases through fragments": (
        '{ county { ...F } subCounty(code: "238") { county { ...F } } } fragment F on County { '
        + " ".join(f"a{at}: id" for at in range(40))
        + " }",
        None,
    ),
    "a field 1,000 times": ("{ county { " + "id " * 1000 + "} }", None),
    "doubling fragments": ("{ ...F0 } " + DOUBLING + " fragment F24 on Query { county { id } }", None),
    "150 levels": ("{ county { subCounties { nodes { " * 50 + "id" + " } } }" * 50 + " }", None),
    "400 inline fragments, one in another": ("{ county { " + "... { " * 400 + "id" + " }" * 402, None),
    "40 directives in one place": ("{ county { id" + " @include(if: true)" * 40 + " } }", None),
    "200 kB of tokens": ("{ county { " + "id " * 66_000 + "} }", None),
    "1 MB of tokens": ("{ county { " + "id " * 333_000 + "} }", None),
    "a fragment that spreads itself": ("{ county { ...F } } fragment F on County { ...F }", None),
    "circular fragments": (
        "{ county { ...A } } fragment A on County { ...B } fragment B on County { ...A }",
        None,
    ),
    "circular introspection": (
        "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }",
        None,
    ),
    "20,000 values in the variables": (FILTERED, {"v": {"code": {"in": [str(at) for at in range(20_000)]}}}),
    "variables 400 deep": (FILTERED, {"v": _deep({}, 400)}),
    "5,000 conditions": (FILTERED, {"v": {"or": [{"code": {"eq": "1"}}] * 2000}}),
    "99,999,999 rows": ("{ wards(first: 99999999) { totalCount } }", None),
}

READS = (
    "{ wards(first: 35) { nodes { code name population subCounty { name } } } }",
    "{ wardAt(point: [34.7617, -0.0917]) { code name } }",
    "{ incidents(first: 50, orderBy: [{ reportedAt: DESC }]) { nodes { reference title status ward { name } } } }",
)

REFUSALS = {(400, "QUERY_TOO_COMPLEX"), (400, "BAD_USER_INPUT"), (413, "BAD_USER_INPUT")}


@dataclass
class Flooded:
    """What came of it."""

    refusals: list[float] = field(default_factory=list)
    """Seconds, as the attacker waits."""
    worst: str = ""
    reads: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        ordered = sorted(self.reads)
        return ordered[int(len(ordered) * 0.99)] if ordered else 0.0


def flood(ground: Ground, seed: int, seconds: float, attackers: int = 2, readers: int = 2) -> Flooded:
    """Every document over and over, beside ordinary readers."""
    came = Flooded()
    bodies = {
        name: json.dumps({"query": query, "variables": variables}).encode()
        for name, (query, variables) in FLOODS.items()
    }
    over = threading.Event()

    def attack(number: int) -> None:
        dice = random.Random(f"{seed}/{number}")
        names = list(bodies)
        with ground.door() as door:
            while not over.is_set():
                dice.shuffle(names)
                for name in names:
                    try:
                        answer = door.send(bodies[name])
                    except (NotSent, Cut) as error:
                        # A body that is too long is refused before it is read to its end.
                        if len(bodies[name]) < 256 * 1024:
                            came.wrong.append(f"{name}: {error!r}")
                        continue
                    if (answer.status, answer.code) not in REFUSALS:
                        came.wrong.append(f"{name}: {answer.status} {answer.body[:200]!r}")
                    if answer.seconds > max(came.refusals, default=0):
                        came.worst = name
                    came.refusals.append(answer.seconds)

    def read(number: int) -> None:
        dice = random.Random(f"{seed}/reader {number}")
        with ground.door("dispatcher") as door:
            while not over.is_set():
                try:
                    answer = door.ask(dice.choice(READS))
                except (NotSent, Cut) as error:
                    came.wrong.append(f"a reader: {error!r}")
                    continue
                if answer.status != 200 or answer.code:
                    came.wrong.append(f"a reader: {answer.status} {answer.body[:200]!r}")
                came.reads.append(answer.seconds)
                time.sleep(0.02)

    threads = [threading.Thread(target=attack, args=(number,), daemon=True) for number in range(attackers)]
    threads += [threading.Thread(target=read, args=(number,), daemon=True) for number in range(readers)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join(30)
    return came
