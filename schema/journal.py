"""The journal: every change, in the order that everybody sees, with its proof.

Written by the database itself (hub/database/migrations/0002_journal.sql), so that no way around it exists; read and
proven by hub/journal.py. hub/docs/journal.md says how a table comes under it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, OID
from sqlalchemy.schema import UniqueConstraint
from sqlalchemy.types import UserDefinedType

from schema.compiler.mapping import metadata, value


class TransactionId(UserDefinedType[str]):
    """A transaction's number that is never used again (PostgreSQL's xid8)."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class Snapshot(UserDefinedType[str]):
    """Which transactions had been committed (PostgreSQL's pg_snapshot)."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "pg_snapshot"


_moment = DateTime(timezone=True)

nodes = Table(
    "nodes",
    metadata,
    Column("node", Text, primary_key=True),
    Column("letter", Text, nullable=False, unique=True),
    Column("since", _moment, nullable=False, server_default=func.now()),
)

journal = Table(
    "journal",
    metadata,
    Column("node", Text, primary_key=True, server_default=func.hub_node()),
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("hlc", BigInteger, nullable=False),
    Column("effective_at", _moment, nullable=False),
    Column("recorded_at", _moment, nullable=False),
    Column("actor", Uuid),
    Column("tbl", Text, nullable=False),
    Column("object_id", Uuid, nullable=False),
    Column("op", Text, nullable=False),  # insert, update, erase
    Column("before", JSONB),
    Column("after", JSONB),
    Column("areas", ARRAY(Uuid), nullable=False),
    Column("audience", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("payload_hash", LargeBinary, nullable=False),
    Column("salt", LargeBinary),
    Column("xid", TransactionId, nullable=False, server_default=func.pg_current_xact_id()),
    Column("arrived_at", _moment, nullable=False, server_default=func.clock_timestamp()),
    Column("arrival", BigInteger, nullable=False, server_default=text("nextval('journal_entry'::regclass)")),
)

journalled = Table(
    "journalled",
    metadata,
    Column("tbl", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("columns", ARRAY(Text), nullable=False),
    Column("left_out", ARRAY(Text), nullable=False),
    Column("areas", Text),
    Column("audience", Text, nullable=False),
    Column("occurred", Text),
    Column("stated", Text),
    Column("since", _moment, nullable=False, server_default=func.now()),
)

chain = Table(
    "chain",
    metadata,
    Column("node", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("node", "entry"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("cursor", BigInteger, primary_key=True, autoincrement=False),
    Column("ends", BigInteger, nullable=False),
    Column("node", Text, nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("sealed_at", _moment, nullable=False),
    UniqueConstraint("node", "entry"),
)

epochs = Table(
    "epochs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Uuid, nullable=False, unique=True, server_default=func.gen_random_uuid()),
    Column("after_cursor", BigInteger, nullable=False),
    Column("since", _moment, nullable=False, server_default=func.now()),
    Column("cause", Text, nullable=False),  # first, restart, restore
)

sealer_state = Table(
    "sealer_state",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=true()),
    Column("snapshot", Snapshot),
    Column("cursor", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("sealed_at", _moment),
    Column("system_identifier", BigInteger),
    Column("timeline", Text),
    Column("database", OID),
    Column("started_at", _moment),
)

stamps = Table(
    "stamps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tbl", Text, nullable=False),
    Column("times", BigInteger, nullable=False, server_default=text("1")),
)


@value
def live_cursor() -> str | None:
    """How far this answer has seen: subscribe with it as `after` and nothing is missed between the two. Null for the
    public, who hear of nothing, and before anything was ever changed."""
    return func.live_cursor(type_=Text)  # type: ignore[return-value]


ROOTS = (live_cursor,)
