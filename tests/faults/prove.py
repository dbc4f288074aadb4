"""`make prove`: breaks a hub of real processes on purpose, for about three minutes, and counts what it kept.

    python -m tests.faults.prove [--seed N]

One sentence a claim, as they come. Ends with 1 when one of them fails; leaves no process and no folder behind.
"""

from __future__ import annotations

import argparse
import random
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType

from schema.access import ACCESS
from tests.commands import crowd
from tests.faults.checking import compare, left_open
from tests.faults.floods import FLOODS, flood
from tests.faults.ground import Ground, within
from tests.faults.hearing import Audience
from tests.faults.load import OK, REFUSED, Load
from tests.faults.order import out_of_order
from tests.faults.roles import Matrix
from tests.faults.tampering import cut_tail, edit_rows
from tests.faults.trackers import Trackers

CLIENTS = 8
TRACKERS = 4
ROUNDS = 3
FLOOD_SECONDS = 15.0
WORST_REFUSAL = 1.0
SLOWEST_READ = 1.0
"""Seconds, while attackers, readers and hub share the machine. Alone, a refusal takes under 0.05."""
STILL_SECONDS = 1.0
"""With a worker gone, the others store something within this."""
CUT = 25
BACK_SECONDS = 5.0
"""A killed worker is back within this; on a machine that does other work, within so many times more."""
GREEN_SECONDS = 10.0
"""After its database is back, the hub answers within this."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WRITERS = ["dispatcher", "coordinator"]


class Proof:
    """Prints the sentences and remembers whether one of them failed."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.failed: list[str] = []

    def say(self, sentence: str) -> None:
        print(f"{time.monotonic() - self.began:4.0f} s  {sentence}", flush=True)

    def claim(self, held: bool, sentence: str, wrong: list[str] | tuple[str, ...] = ()) -> None:
        self.say(f"{'held  ' if held and not wrong else 'FAILED'}  {sentence}")
        for line in wrong[:10]:
            print(f"                {line}", flush=True)
        if not held or wrong:
            self.failed.append(sentence)


# -- the claims --------------------------------------------------------------------------------------------------------


def acknowledged_means_stored(proof: Proof, ground: Ground, dice: random.Random, seed: int) -> None:
    """Kill a worker, the hub, the database, while everybody writes; then count."""
    pids_kept, backs, slowest = True, [], 0.0

    def worker() -> str:
        stored = load.acknowledged
        backs.append(ground.kill_worker(dice.randrange(ground.workers)))
        served = load.acknowledged - stored
        # Who is back before anybody could have been answered proves nothing, either way.
        if served == 0 and backs[-1] > STILL_SECONDS * crowd():
            proof.claim(False, f"for {backs[-1]:.1f} s, while a worker was gone, nothing was stored")
        return f"a worker killed: the others stored {served} more until another answered, {backs[-1]:.1f} s later"

    def frozen() -> str:
        took = ground.kill_worker(dice.randrange(ground.workers), signal.SIGSTOP)
        return f"a worker stopped with SIGSTOP: noticed, killed, and another answered {took:.1f} s later"

    def hub() -> str:
        ground.kill_hub()
        return "the whole hub killed with -9 and started again"

    def backend() -> str:
        ground.kill_backend()
        return "a connection's server process killed with -9: PostgreSQL ended all of them and recovered"

    def stopped() -> str:
        ground.break_database(signal.SIGQUIT)
        return "PostgreSQL stopped at once (immediate) and started again"

    def killed() -> str:
        ground.break_database(signal.SIGKILL)
        return "PostgreSQL's first process killed with -9 and started again"

    faults: list[Callable[[], str]] = [worker, hub, backend, stopped, killed] * ROUNDS + [frozen]
    dice.shuffle(faults)
    with Audience(ground, seed) as audience:
        with Load(ground, WRITERS, seed, CLIENTS) as load, Trackers(ground, seed, TRACKERS) as trackers:
            within(lambda: load.acknowledged > 0)
            for fault in faults:
                time.sleep(dice.uniform(1, 3))
                before = ground.pids()
                said = fault()
                back = time.monotonic()
                within(lambda since=back: load.acknowledged_since(since))  # type: ignore[misc]
                slowest = max(slowest, took := time.monotonic() - back)
                if fault in (backend, stopped, killed):
                    pids_kept &= ground.pids() == before
                proof.say(f"        {said}; {took:.1f} s after that the next fact was stored.")
            time.sleep(1)
        heard = audience.compare()
    tally = load.tally()
    with ground.owner() as owner:
        found = compare(owner, tally)
        locks = left_open(owner)
        fixes = trackers.count(owner)
    ok, refused = tally.of(OK), tally.of(REFUSED)
    proof.claim(
        found.facts == len(ok) and len(ok) > 0,
        f"Acknowledged {len(ok):,}, found {found.facts:,} ({found.reports:,} reports, {found.moves:,} steps); unknown "
        f"{tally.retried} retried, each once; {tally.replays} sent twice on purpose, one effect; "
        f"refused {len(refused)} left nothing.",
        found.wrong,
    )
    proof.claim(
        fixes.found == fixes.acknowledged > 0,
        f"Positions of {TRACKERS} trackers: acknowledged {fixes.acknowledged:,}, found {fixes.found:,}; {fixes.again} "
        f"batches sent again, each once; {fixes.more:,} more were stored when the answer was lost.",
        fixes.wrong,
    )
    proof.claim(
        max(backs) < BACK_SECONDS * crowd() and slowest < GREEN_SECONDS * crowd() and pids_kept,
        f"A killed worker was back within {max(backs):.1f} s; after a fault of the database the hub stored again "
        f"within {slowest:.1f} s, and restarted no worker; no lock was left. (Promised: {BACK_SECONDS:.0f} s and "
        f"{GREEN_SECONDS:.0f} s on a machine that is not full; this one had {crowd():.1f} times its cores to do.)",
        locks,
    )
    proof.claim(
        heard.counts == [heard.events] * len(heard.counts) and not heard.twice and not heard.disordered,
        f"Live: each of {len(heard.counts)} subscribers, who took up again {heard.resumed} times, heard "
        f"{min(heard.counts):,} of {heard.events:,}, twice {heard.twice}, out of order {heard.disordered}.",
        heard.wrong,
    )
    verified = ground.run("journal", "verify")
    proof.claim(verified.returncode == 0, f"The journal after all of it: {' '.join(verified.stdout.split())}")


def no_event_is_skipped(proof: Proof, ground: Ground, seed: int) -> None:
    heard = out_of_order(ground, seed, 8)
    proof.claim(
        heard.overtaken > 0 and set(heard.heard) == {heard.written},
        f"Commits out of order: 8 writers, {heard.overtaken:,} commits overtaken by later ones; "
        f"each of {len(heard.heard)} readers heard events {min(heard.heard):,} of {heard.written:,}.",
        heard.wrong,
    )


def nobody_sees_too_much(proof: Proof, matrix: Matrix) -> None:
    looked = matrix.look()
    proof.claim(
        not looked.leaked and looked.shown == looked.due > 0,
        f"{looked.callers} people of {len(ACCESS.roles) - 1} roles and the public: leaked {len(looked.leaked)} of "
        f"{looked.looks:,} looks; of what they may see they saw {looked.shown:,} of {looked.due:,}.",
        looked.wrong,
    )


def floods_are_refused(proof: Proof, ground: Ground, seed: int) -> None:
    came = flood(ground, seed, FLOOD_SECONDS)
    worst, p99 = max(came.refusals, default=0), came.p99
    proof.claim(
        worst < WORST_REFUSAL * crowd() and p99 < SLOWEST_READ * crowd() and len(came.refusals) > len(FLOODS),
        f"{len(came.refusals):,} floods of {len(FLOODS)} kinds refused, the worst after {worst * 1000:.0f} ms "
        f"({came.worst}); {len(came.reads):,} readers' questions meanwhile p99 {p99 * 1000:.0f} ms, none failed.",
        came.wrong,
    )


def tampering_is_named(proof: Proof, ground: Ground, dice: random.Random) -> None:
    anchors = ground.folder / "anchors"
    kept = ground.run("doctor", "--anchor", str(anchors))
    if "which now knows its present head" not in kept.stdout:
        proof.claim(False, f"no anchor was kept: {kept.stdout}{kept.stderr}")
        return
    ground.stop_hub()
    with ground.copy("tampered") as copy:
        came = edit_rows(ground, copy, dice)
    proof.claim(
        len(came.found) == len(came.cursors) and not came.blamed_wrongly and came.code == 1,
        "Tampered rows named: "
        + "; ".join(f"{edit}: cursor {cursor}" for edit, cursor in came.cursors.items())
        + f" ({len(came.found)} of {len(came.cursors)}, no other blamed).",
        [] if len(came.found) == len(came.cursors) and not came.blamed_wrongly else came.told.splitlines(),
    )
    with ground.copy("cut") as copy:
        ends = cut_tail(copy, CUT)
        checked = ground.run("doctor", "--anchor", str(anchors), county=copy)
    proof.claim(
        checked.returncode == 1 and "its tail was cut" in checked.stdout,
        f"Cut tail found: the last {CUT} entries were taken away, so that the journal ended at cursor {ends}, and the "
        "anchor knew better.",
        [] if "its tail was cut" in checked.stdout else checked.stdout.splitlines(),
    )


# -- the program -------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats the order of the faults; without it, another one each time")
    seed = parser.parse_args().seed
    if seed is None:
        seed = secrets.randbelow(1_000_000)
    proof = Proof()
    for number in SIGNALS:
        signal.signal(number, _interrupted)
    try:
        prove(proof, seed)
    except KeyboardInterrupt:
        print("Stopped; nothing is left behind.", file=sys.stderr)
        return 130
    except AssertionError as error:
        # What should have come by itself did not: no count can make up for that.
        traceback.print_exc()
        proof.claim(False, f"The proof came to no end: {error}")
    took = time.monotonic() - proof.began
    if proof.failed:
        print(f"{len(proof.failed)} claims FAILED ({took:.0f} s). Again: make prove ARGS='--seed {seed}'", flush=True)
        return 1
    print(f"Every claim held ({took:.0f} s, seed {seed}).", flush=True)
    return 0


def prove(proof: Proof, seed: int) -> None:
    dice = random.Random(seed)
    proof.say(f"A county of its own and a hub of three workers (seed {seed}) …")
    with Ground(workers=3) as ground:
        matrix = Matrix(ground)
        matrix.make_people()
        ground.start_hub()
        matrix.report()
        acknowledged_means_stored(proof, ground, dice, seed)
        no_event_is_skipped(proof, ground, seed)
        nobody_sees_too_much(proof, matrix)
        floods_are_refused(proof, ground, seed)
        tampering_is_named(proof, ground, dice)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """The first one; then nothing may keep it from clearing up, which takes some seconds."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    print("\nStopping …", file=sys.stderr)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
