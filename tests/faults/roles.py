"""Every role asks for everything that the schema offers at incidents and people; unique words show what it got.

What each may see is computed from the rights that `schema/access.py` declares, never from answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from hub.settings import PROJECT
from schema.access import ACCESS, Reach, Scope
from tests.faults.ground import Ground
from tests.faults.load import REPORT

NOTE = "mutation Note($input: NoteOnIncidentInput!) { noteOnIncident(input: $input) { incident { id } } }"
AHERO, SEME = "1208", "1202"
ON_THE_LAKE = [34.6, -0.2]
SECRET_TYPES = {"Incident", "IncidentEntry", "IncidentReporter", "Person"}
GIVEN = {"distanceMeters": "(from: [34.7, -0.1])"}
"""Arguments that a field needs."""


# -- what there is to see ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """A row that rights are about: an incident, or a person."""

    areas: frozenset[str]
    """Codes of the units that it lies in."""
    person: str
    """Whose it is."""
    id: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Canary:
    """A word that stands in one place of the database, and may be seen by whoever may see that place."""

    word: str
    noun: str
    subject: Subject
    filters: str = ""
    """A filter of `incidents` or `people` that finds it, as JSON with the word in it."""
    root: str = ""


@dataclass(frozen=True)
class Asker:
    """Somebody with a role; nobody where it has none."""

    name: str | None
    role: str
    areas: frozenset[str]
    """With the wards of each sub-county."""

    @property
    def roles(self) -> tuple[str, ...]:
        return (ACCESS.public,) if self.name is None else (self.role, ACCESS.signed_in, ACCESS.public)

    def may_see(self, noun: str, subject: Subject) -> bool:
        reaches = {ACCESS.right(role, noun).read for role in self.roles}
        return (
            Reach.COUNTY in reaches
            or (Reach.AREA in reaches and bool(subject.areas & self.areas))
            or (Reach.OWN in reaches and subject.person == self.name)
        )


@dataclass
class Looked:
    """What came of it."""

    looks: int = 0
    callers: int = 0
    leaked: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    shown: int = 0
    """Pairs of somebody and a word that they may see, and saw."""
    due: int = 0

    @property
    def wrong(self) -> list[str]:
        return self.leaked + self.missed


class Matrix:
    """Two wards, the lake, people of every role, and a word in each of their fields."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.canaries: list[Canary] = []
        self.incidents: list[Subject] = []
        self._people: dict[str, Subject] = {}
        with ground.owner() as owner:
            self._above = {
                str(ward): str(sub_county)
                for ward, sub_county in owner.execute(
                    "select w.code, s.code from wards w join sub_counties s on s.id = w.sub_county_id"
                ).fetchall()
            }
            self._inside = {
                str(code): [x, y]
                for code, x, y in owner.execute(
                    "select code, st_x(label_point), st_y(label_point) from wards"
                ).fetchall()
            }

    def make_people(self) -> None:
        """Somebody of every role; of those whose rights end at an area, one in each ward."""
        self._person("finder.east", "citizen")
        self._person("finder.west", "citizen")
        for role in ACCESS.personal:
            for post in self._posts(role):
                self._person(f"{role.replace('_', '.')}{'.' + post if post else ''}", role, post)

    def report(self) -> None:
        """What there is to be seen, by people who may report it. The hub must run."""
        for ward, finder in ((AHERO, "finder.east"), (SEME, "finder.west"), (None, "dispatcher")):
            self._incident(ward, finder)

    def askers(self) -> Iterator[Asker]:
        yield Asker(None, ACCESS.public, frozenset())
        yield Asker("finder.east", "citizen", frozenset())
        yield Asker("finder.west", "citizen", frozenset())
        for role in ACCESS.personal:
            for post in self._posts(role):
                name = f"{role.replace('_', '.')}{'.' + post if post else ''}"
                yield Asker(name, role, self._within(post))

    def look(self) -> Looked:
        """Everybody at everything."""
        looked = Looked()
        for asker in self.askers():
            looked.callers += 1
            seen: set[str] = set()
            may = {each.word for each in self.canaries if asker.may_see(each.noun, each.subject)}
            with self._ground.door(asker.name) as door:
                for query, variables, count in self._looks(asker):
                    answer = door.ask(query, variables)
                    looked.looks += 1
                    if answer.code:
                        looked.missed.append(f"{asker.name or 'nobody'} was refused: {answer.code} {answer.message}")
                    body = answer.body.decode()
                    found = {each.word for each in self.canaries if each.word in body}
                    seen |= found
                    looked.leaked += [
                        f"{asker.name or 'nobody'} ({asker.role}) saw {word} by {query[:80]} {json.dumps(variables)}"
                        for word in sorted(found - may)
                    ]
                    if count is not None and (told := _count(answer.data)) != count:
                        kind = looked.leaked if (told or 0) > count else looked.missed
                        kind.append(f"{asker.name or 'nobody'} counted {told}, not {count}: {json.dumps(variables)}")
            looked.due += len(may)
            looked.shown += len(may & seen)
            looked.missed += [f"{asker.name or 'nobody'} ({asker.role}) did not see {word}" for word in may - seen]
        return looked

    # -- making them

    def _posts(self, role: str) -> tuple[str, ...]:
        """Where such people answer for: those whose rights end at an area, in each of both."""
        if ACCESS.roles[role].scope is not Scope.AREA:
            return ("",)
        posts = (AHERO, SEME)
        return tuple(self._above[post] for post in posts) if role.startswith("sub_county") else posts

    def _within(self, post: str) -> frozenset[str]:
        return frozenset({post, *(ward for ward, above in self._above.items() if above == post)} - {""})

    def _person(self, name: str, role: str, post: str = "") -> None:
        word = f"Xan{len(self._people)}personq"
        self._people[name] = Subject(frozenset({post} - {""}), name)
        self._ground.person(name, role, areas=(post,) if post else (), display=word)
        self.canaries.append(
            Canary(word, "people", self._people[name], json.dumps({"displayName": {"contains": word}}), "people")
        )

    def _incident(self, ward: str | None, finder: str) -> None:
        number = len(self.incidents)
        words = {part: f"Xan{number}{part}q" for part in ("title", "description", "place")}
        name, note, phone = f"Xan{number}nameq", f"Xan{number}noteq", f"+254 711 00{number} 4{number}7"
        made = self._do(
            finder,
            REPORT,
            kind="FLOOD",
            location=self._inside[ward] if ward else ON_THE_LAKE,
            reporterName=name,
            reporterPhone=phone,
            **words,
        )["reportIncident"]["incident"]
        self._do("dispatcher", NOTE, id=made["id"], note=note)
        # The ward, not what is above it: who answers for a sub-county answers for its wards.
        subject = Subject(frozenset({ward} if ward else ()), finder, made["id"], made["reference"])
        self.incidents.append(subject)
        for part, word in words.items():
            self.canaries.append(
                Canary(word, "incidents", subject, json.dumps({part: {"contains": word}}), "incidents")
            )
        self.canaries.append(Canary(name, "callers", subject))
        by_note = {"timeline": {"some": {"note": {"contains": note}}}}
        self.canaries.append(Canary(note, "timelines", subject, json.dumps(by_note), "incidents"))
        self.canaries.append(Canary(phone, "callers", subject))

    def _do(self, who: str, mutation: str, **given: Any) -> Any:
        with self._ground.door(who) as door:
            answer = door.ask(mutation, {"input": given})
        assert answer.code == "", answer.body
        return answer.data

    # -- looking

    def _looks(self, asker: Asker) -> Iterator[tuple[str, dict[str, Any], int | None]]:
        """Operations, and how many they must count, where they count."""
        whole = {root: self._shape.root(root) for root in ("incidents", "people", "me", "incident")}
        mine = {"reference": {"in": [subject.reference for subject in self.incidents]}}
        everybody = {"name": {"in": list(self._people)}}
        yield (
            f"query($w: IncidentFilter) {{ incidents(where: $w, first: 10) {whole['incidents']} }}",
            {"w": mine},
            sum(asker.may_see("incidents", subject) for subject in self.incidents),
        )
        yield (
            f"query($w: PersonFilter) {{ people(where: $w, first: 50) {whole['people']} }}",
            {"w": everybody},
            sum(asker.may_see("people", subject) for subject in self._people.values()),
        )
        yield f"{{ me {whole['me']} }}", {}, None
        for subject in self.incidents:
            for by in ("id", "reference"):
                kind = "ID" if by == "id" else "String"
                query = f"query($by: {kind}) {{ incident({by}: $by) {whole['incident']} }}"
                yield query, {"by": getattr(subject, by)}, None
        for canary in self.canaries:
            if canary.filters:
                type_ = "IncidentFilter" if canary.root == "incidents" else "PersonFilter"
                # Counted only: a filter on what is hidden must find nothing, or it tells what is there.
                yield (
                    f"query($w: {type_}) {{ {canary.root}(where: $w) {{ totalCount }} }}",
                    {"w": json.loads(canary.filters)},
                    int(asker.may_see(canary.noun, canary.subject)),
                )
            if canary.noun == "people":
                by_finder = {**mine, "reportedBy": json.loads(canary.filters)}
                theirs = [subject for subject in self.incidents if subject.person == canary.subject.person]
                yield (
                    "query($w: IncidentFilter) { incidents(where: $w) { totalCount } }",
                    {"w": by_finder},
                    sum(
                        asker.may_see("incidents", subject) and asker.may_see("people", canary.subject)
                        for subject in theirs
                    ),
                )

    @cached_property
    def _shape(self) -> Shape:
        return Shape(build_schema((PROJECT / "schema/schema.graphql").read_text("utf-8")))


def _count(data: Any) -> int | None:
    (list_,) = (data or {"": None}).values()
    return list_["totalCount"] if list_ else None


# -- everything that the schema offers ---------------------------------------------------------------------------------


class Shape:
    """Selections of every field that leads to an incident, a person or what belongs to them, read from the schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema

    def root(self, name: str) -> str:
        query = self._schema.query_type
        assert query is not None
        return self._selection(query.fields[name], ())

    def _selection(self, field: GraphQLField, path: tuple[str, ...]) -> str:
        type_ = get_named_type(field.type)
        assert isinstance(type_, GraphQLObjectType), type_
        return "{ " + " ".join(self._members(type_, (*path, type_.name))) + " }"

    def _members(self, type_: GraphQLObjectType, path: tuple[str, ...]) -> Iterable[str]:
        yield "__typename"
        for name, member in type_.fields.items():
            if any(is_required_argument(argument) for argument in member.args.values()) and name not in GIVEN:
                continue
            below = get_named_type(member.type)
            if is_leaf_type(below):
                yield name + GIVEN.get(name, "")
            elif below.name in path or len(path) > 6:
                continue
            elif self._leads_to_secrets(below.name, set()):
                yield f"{name}{'(first: 15)' if 'first' in member.args else ''} {self._selection(member, path)}"
            elif isinstance(below, GraphQLObjectType) and "code" in below.fields:
                yield f"{name} {{ code }}"

    def _leads_to_secrets(self, name: str, seen: set[str]) -> bool:
        if name in SECRET_TYPES:
            return True
        type_ = self._schema.type_map[name]
        if name in seen or not isinstance(type_, GraphQLObjectType):
            return False
        seen.add(name)
        return any(self._leads_to_secrets(get_named_type(member.type).name, seen) for member in type_.fields.values())
