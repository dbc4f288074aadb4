"""Compares what clients were told with what the county's tables and its journal hold."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import psycopg

from tests.faults.load import OK, REFUSED, Tally

MARKER = re.compile(r"fact[0-9a-f]+x\d+x\d+x")


@dataclass
class Found:
    """What the comparison came to; `wrong` is empty when every promise held."""

    reports: int = 0
    moves: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def facts(self) -> int:
        return self.reports + self.moves


def compare(owner: psycopg.Connection, tally: Tally) -> Found:
    """Every acknowledged fact is there once, also in the journal; of a refused one there is nothing; and nothing is
    there that nobody acknowledged."""
    rounds = {fact.marker.split("x")[0] + "x" for fact in tally.facts}
    rows: dict[str, list[str]] = {}
    for id_, title in owner.execute("select id::text, title from incidents where title like 'Flood fact%'").fetchall():
        for marker in MARKER.findall(title):
            rows.setdefault(marker, []).append(id_)
    journalled: Counter[str] = Counter()
    for (title,) in owner.execute(
        "select after ->> 'title' from journal "
        "where tbl = 'incidents' and op = 'insert' and after ->> 'title' like 'Flood fact%'"
    ).fetchall():
        journalled.update(MARKER.findall(title))
    moved: dict[str, list[str]] = {}
    for id_, note in owner.execute(
        "select incident_id::text, note from incident_entries where kind = 'status' and note like 'Seen fact%'"
    ).fetchall():
        for marker in MARKER.findall(note):
            moved.setdefault(marker, []).append(id_)
    found = Found()
    for fact in tally.facts:
        there = (rows if fact.kind == "report" else moved).get(fact.marker, [])
        if fact.verdict == OK:
            if there != [fact.id]:
                found.wrong.append(f"{fact.marker} was acknowledged as {fact.id}, found {there}")
            elif fact.kind == "report" and journalled[fact.marker] != 1:
                found.wrong.append(f"{fact.marker} stands {journalled[fact.marker]} times in the journal")
            elif fact.kind == "report":
                found.reports += 1
            else:
                found.moves += 1
        elif fact.verdict == REFUSED:
            if there or journalled[fact.marker]:
                found.wrong.append(f"{fact.marker} was refused ({fact.code}), found {there}")
        else:
            found.wrong.append(f"{fact.marker} never got an answer")
    known = {fact.marker for fact in tally.facts}
    for marker in (*rows, *moved, *journalled):
        if marker not in known and marker.split("x")[0] + "x" in rounds:
            found.wrong.append(f"{marker} is there, and nobody meant it")
    # A step's two halves are one: the row's status is what its last step says.
    halves = owner.execute(
        "select i.reference, i.status, e.to_status from incidents i, lateral (select to_status from incident_entries "
        "where incident_id = i.id and kind = 'status' order by at desc limit 1) e where e.to_status <> i.status"
    ).fetchall()
    found.wrong += [f"{reference} is {status}, its last step says {step}" for reference, status, step in halves]
    return found


def left_open(owner: psycopg.Connection) -> list[str]:
    """What dead workers could have left behind: locks that nobody will free, transactions that nobody will end."""
    return [
        str(row)
        for row in owner.execute(
            "select pid, state, wait_event_type, left(query, 60) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' "
            "and (state like 'idle in transaction%' or wait_event_type = 'Lock') "
            "and state_change < now() - interval '3 s'"
        ).fetchall()
    ]
