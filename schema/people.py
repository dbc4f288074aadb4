"""People who sign in: what they are called, which roles they hold, which units of the county they answer for.

What proves who they are (passwords, tokens, one-time links) stands in tables of its own, which only the hub's own
chores read. Signing in and out are ordinary resolvers; people are read like everything else, under the caller's
policies.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Protocol

import strawberry
from graphql import (
    ASTValidationRule,
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from schema.areas import Area
from schema.columns import key
from schema.compiler.inside import as_root
from schema.compiler.mapping import column, computed, entity, few, metadata, row, rows
from schema.compiler.nodes import Node

MOST_AREAS = 50
"""More than the county has units."""


def _person(name: str = "person_id", **options: Any) -> Column[object]:
    return Column(name, Uuid, ForeignKey("people.id", ondelete="restrict"), nullable=False, **options)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _moment(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


people = Table(
    "people",
    metadata,
    key(),
    Column("name", Text, nullable=False),  # lower case: what one types to sign in
    Column("display_name", Text, nullable=False),
    _now("created_at"),
    _moment("disabled_at"),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("node", Text, nullable=False, server_default=text("'county'::text")),
    UniqueConstraint("name"),
)

person_roles = Table(
    "person_roles",
    metadata,
    key(),
    _person(),
    Column("role", Text, nullable=False),
    _now("granted_at"),
    Column("granted_by", Uuid, ForeignKey("people.id", ondelete="restrict")),  # null: the command line
    _moment("revoked_at"),
)

person_areas = Table(
    "person_areas",
    metadata,
    key(),
    _person(),
    Column("area_id", Uuid, ForeignKey("areas.id", ondelete="restrict"), nullable=False),
    _now("since"),
    _moment("until"),
)

credentials = Table(
    "credentials",
    metadata,
    _person(primary_key=True),
    Column("password_hash", Text, nullable=False),
    _now("changed_at"),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    key(),
    _person(),
    Column("token_digest", LargeBinary, nullable=False),
    _now("created_at"),
    _moment("expires_at", nullable=False),
    _moment("revoked_at"),
    Column("revoked_reason", Text),
    UniqueConstraint("token_digest"),
)

invitations = Table(
    "invitations",
    metadata,
    key(),
    _person(),
    Column("digest", LargeBinary, nullable=False),
    _now("created_at"),
    _moment("expires_at", nullable=False),
    _moment("used_at"),
    UniqueConstraint("digest"),
)

token_keys = Table(
    "token_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    _now("made_at"),
    _moment("signs_from", nullable=False),
    _moment("valid_until"),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("kind", Text, primary_key=True),  # account, address
    Column("subject", LargeBinary, primary_key=True),
    Column("tries", Integer, nullable=False),
    _moment("tried_at", nullable=False),
    _moment("free_at", nullable=False),
)


@strawberry.enum(description="What a person may do in the hub; somebody may hold several.")
class Role(Enum):
    CITIZEN = strawberry.enum_value(
        "citizen", description="Sees what is about themselves; everybody who signs in does."
    )
    FIELD_OFFICER = strawberry.enum_value("field_officer", description="Works outside, in their areas.")
    DISPATCHER = strawberry.enum_value("dispatcher", description="Takes reports and sends units, in the whole county.")
    COORDINATOR = strawberry.enum_value("coordinator", description="Leads operations in the whole county.")
    FLEET_MANAGER = strawberry.enum_value("fleet_manager", description="Answers for the county's vehicles.")
    ENFORCEMENT_SUPERVISOR = strawberry.enum_value(
        "enforcement_supervisor", description="Answers for enforcement officers and their patrols."
    )
    WARD_ADMINISTRATOR = strawberry.enum_value("ward_administrator", description="Answers for one ward or several.")
    SUB_COUNTY_ADMINISTRATOR = strawberry.enum_value(
        "sub_county_administrator", description="Answers for a sub-county with all of its wards."
    )
    PLANNER = strawberry.enum_value("planner", description="Reads figures of the whole county.")
    AUDITOR = strawberry.enum_value("auditor", description="Reads what was done by whom; changes nothing.")
    ADMINISTRATOR = strawberry.enum_value("administrator", description="Gives and takes accounts and roles.")


@entity(people, order=("name",), lasting=True)
class Person(Node):
    """Somebody who may sign in. Callers find themselves here, and those whom their roles let them see."""

    id: strawberry.ID = column("Key of the person, a UUIDv7.")
    name: str = column("What the person types to sign in, in lower case.")
    display_name: str = column("What the person wants to be called.")
    disabled_at: datetime.datetime | None = column("Since when the account is closed; null: it is open.")
    version: int = column("Counts the changes of the person's data.")
    areas: list[Area] = few(
        "The units that the person answers for today; a sub-county takes in its wards.",
        lambda person, area: area.id.in_(
            select(person_areas.c.area_id)
            .where(person_areas.c.person_id == person.id, person_areas.c.until.is_(None))
            .correlate_except(person_areas)
        ),
        most=MOST_AREAS,
    )

    @computed
    def roles(person: Any) -> list[Role]:
        """The roles that the person holds today."""
        held = (
            select(person_roles.c.role)
            .where(person_roles.c.person_id == person.id, person_roles.c.revoked_at.is_(None))
            .order_by(person_roles.c.role)
            .correlate_except(person_roles)
        )
        return func.array(held.scalar_subquery(), type_=ARRAY(Text))  # type: ignore[return-value]


_CALLER = literal_column("(select nullif(current_setting('hub.person', true), '')::uuid)", Uuid)


@row(Person)
def me(person: Any) -> Any:
    """The person who is signed in; null for everybody else."""
    return person.id == _CALLER


@rows(Person)
def people_(person: Any) -> None:
    """The people that you may see: yourself, and by your roles those of your areas or of the county."""


ROOTS = (me, people_)


# -- signing in and out ------------------------------------------------------------------------------------------------


class Signed(Protocol):
    """Somebody who has just signed in."""

    @property
    def token(self) -> str: ...
    @property
    def expires_at(self) -> datetime.datetime: ...

    async def fetch_json(self, sql: str, parameters: Sequence[Any]) -> Sequence[bytes]:
        """Read as this person."""
        ...


class Door(Protocol):
    """What an operation's context can do about who is asking."""

    async def sign_in(self, name: str, password: str) -> Signed: ...

    async def sign_out(self) -> bool: ...


@strawberry.input(description="Who signs in.")
class SignInInput:
    name: str = strawberry.field(description="The person's sign-in name; upper and lower case are the same.")
    password: str = strawberry.field(description="The person's password.")


@strawberry.type(description="Somebody has signed in.")
class SignInPayload:
    token: str = strawberry.field(
        description="Send it as `Authorization: Bearer …` from now on. It is shown once; keep it out of addresses and "
        "logs. The hub's own pages leave it out and hold a cookie that no script can read."
    )
    expires_at: datetime.datetime = strawberry.field(description="When it ends by itself: sign in again then.")
    signed: strawberry.Private[Signed]

    @strawberry.field(description="Who signed in.")
    async def person(self, info: strawberry.Info) -> Person:
        return await as_root(info, "me", self.signed.fetch_json)


@strawberry.mutation(
    description="Prove who you are by name and password. After five tries that failed, further ones are refused for a "
    "growing while (RATE_LIMITED; `retryAfter` says how many seconds). At most one in an operation."
)
async def sign_in(
    info: strawberry.Info, input: Annotated[SignInInput, strawberry.argument(description="Who signs in.")]
) -> SignInPayload:
    door: Door = info.context
    signed = await door.sign_in(input.name, input.password)
    return SignInPayload(token=signed.token, expires_at=signed.expires_at, signed=signed)


@strawberry.mutation(
    description="End this sign-in at once, everywhere; `false` when nobody was signed in. At most one in an operation."
)
async def sign_out(info: strawberry.Info) -> bool:
    door: Door = info.context
    return await door.sign_out()


MUTATIONS = (sign_in, sign_out)
"""The mutations of this domain."""


class OneSignIn(ASTValidationRule):
    """An operation signs in or out once: by aliases it would try many passwords in one request."""

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        if node.operation.value == "mutation" and self._count(node.selection_set) > 1:
            self.report_error(GraphQLError("An operation may hold signIn or signOut once: send one at a time.", [node]))

    def _count(self, selection_set: SelectionSetNode) -> int:
        count = 0
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                count += node.name.value in ("signIn", "signOut")
            elif isinstance(node, InlineFragmentNode):
                count += self._count(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self.context.get_fragment(node.name.value)
                count += self._count(fragment.selection_set) if fragment else 0
            if count > 1:
                break
        return count


RULES = (OneSignIn,)
"""What documents must keep beside the specification's rules."""
