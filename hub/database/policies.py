"""The access table as SQL: grants and row security policies for the scope roles, all of them or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schema.access import EVERYTHING, PART, Access, Reach, Role, Scope

OWNER = "hub_owner"

JOURNAL = "hub_journal"
"""Owns the few functions that write what the journal says: what it writes is not journalled once more."""

_SCOPES = ", ".join(Scope)


def rendered(access: Access) -> str:
    """One text that brings any database to what the table says, whatever stood there before."""
    return "\n".join(_statements(access))


def listed(access: Access) -> frozenset[str]:
    """Every table and view that the access table speaks of."""
    return frozenset(name for noun in access.nouns.values() for name in (*noun.tables, *noun.views))


def _statements(access: Access) -> Iterator[str]:
    for name, noun in access.nouns.items():
        for table in noun.tables:
            yield f"-- {name}: {table}"
            yield f"revoke all on {table} from public, {_SCOPES};"
            yield _DROP.format(table=table)
            yield f"create policy owner on {table} to {OWNER} using (true) with check (true);"
            for scope in Scope:
                yield from _read(access, name, table, scope)
                yield from _write(access, name, table, scope)
        for view in noun.views:
            # No policies: a view of ours asks its tables with the rights of who asks (tests/hub/test_catalog.py).
            yield f"-- {name}: {view}"
            yield f"revoke all on {view} from public, {_SCOPES};"
            if access.is_asked_for(name):
                callers = ", ".join(scope for scope in Scope if scope is not Scope.SERVICE)
                yield f"grant select on {view} to {callers};"


# Policies of an older access table may have any name, so that they are looked up instead of listed. Those of the
# journal's hand are no part of the access table: they come with the tables.
_DROP = """do $$
declare
  name text;
begin
  for name in
    select polname from pg_policy
    where polrelid = '{table}'::regclass and polroles <> array['hub_journal'::regrole::oid]
  loop
    execute format('drop policy %I on {table}', name);
  end loop;
end
$$;"""


# No row lies nowhere. Without any policy PostgreSQL 15 has a plain `false` beside a question's own conditions, and
# looks at each row that fulfils them to give none. This one it looks up first, and reads no page.
_NOTHING = "ctid = (select null::tid)"


def _read(access: Access, name: str, table: str, scope: Scope) -> Iterator[str]:
    """What any caller may read, every caller may ask: who reaches no row finds the table empty. Refused instead, one
    field of an answer that is not for its reader would take the whole answer away, and would say that it is there."""
    conditions = list(_conditions(access, name, scope, "read"))
    if not conditions and access.is_asked_for(name) and scope is not Scope.SERVICE:
        conditions = [("nothing", _NOTHING)]
    if conditions:
        named = access.nouns[name].columns
        # The hub itself proves what callers only read.
        columns = f" ({', '.join(named)})" if named and scope is not Scope.SERVICE else ""
        yield f"grant select{columns} on {table} to {scope};"
    for reach, condition in conditions:
        yield f"create policy {_label(scope)}_reads_{reach} on {table} for select to {scope} using ({condition});"


def _write(access: Access, name: str, table: str, scope: Scope) -> Iterator[str]:
    conditions = list(_conditions(access, name, scope, "write"))
    if conditions:
        yield f"grant insert, update on {table} to {scope};"
    for reach, condition in conditions:
        label = _label(scope)
        yield f"create policy {label}_adds_{reach} on {table} for insert to {scope} with check ({condition});"
        yield (
            f"create policy {label}_changes_{reach} on {table} for update to {scope} "
            f"using ({condition}) with check ({condition});"
        )
        if access.nouns[name].passing:
            yield f"create policy {label}_removes_{reach} on {table} for delete to {scope} using ({condition});"
    if conditions and access.nouns[name].passing:
        yield f"grant delete on {table} to {scope};"


def _label(scope: Scope) -> str:
    return scope.name.lower()


def _conditions(access: Access, name: str, scope: Scope, action: str) -> Iterator[tuple[str, str]]:
    """What a row must fulfil for a caller who comes in this scope: one condition per reach, any of them suffices.

    Whoever comes in a scope holds a role of it, so that what all those roles reach alike needs no look at the caller's
    roles: it keeps the common policy as simple as `true`, which is what spatial indexes want. What only some of them
    reach, and what narrower roles give that the caller holds besides, is bound to those roles.
    """

    noun = access.nouns[name]
    if noun.audience is not None:
        if action == "read":
            yield from _heard(access, name, scope)
        return

    def reach(role: str) -> Reach:
        right: Reach = getattr(access.right(role, name), action)
        return right

    common = access.alike(name, scope, action)
    for step in (Reach.OWN, Reach.AREA, Reach.COUNTY):
        rows = _rows(access, name, step)
        if common is step:
            yield step.name.lower(), rows
        elif common is not Reach.COUNTY and scope is not Scope.SERVICE:
            holders = sorted(
                role for role, row in access.roles.items() if _may_be_held(row, scope) and reach(role) is step
            )
            if holders:
                holds = _holds(holders, name, action)
                yield step.name.lower(), holds if rows == "true" else f"{holds} and {rows}"


def _heard(access: Access, name: str, scope: Scope) -> Iterator[tuple[str, str]]:
    """The same for a journal, where each row names its audience and the areas that it touched."""
    noun = access.nouns[name]
    for step in (Reach.AREA, Reach.COUNTY):
        audiences: dict[tuple[str, ...], list[str]] = {}
        for audience in (EVERYTHING, *access.nouns):
            holders = tuple(
                sorted(
                    role
                    for role, row in access.roles.items()
                    if _may_be_held(row, scope) and row.hears.get(audience) is step
                )
            )
            if holders:
                audiences.setdefault(holders, []).append(audience)
        for number, (holders, named) in enumerate(audiences.items(), 1):
            # Nobody takes the service's scope but the hub itself, which says no roles.
            conditions = [] if scope is Scope.SERVICE else [_holds(holders, name, "read")]
            if EVERYTHING not in named:
                conditions.append(f"{noun.audience} = any (array[{_quoted(named)}])")
            if step is Reach.AREA:
                conditions.append(f"{noun.areas} && {_MINE}")
            yield f"{step.name.lower()}_{number}", " and ".join(conditions) or "true"


def _may_be_held(row: Role, scope: Scope) -> bool:
    """Whether a caller who comes in this scope can hold the role: it is of the scope, or of a narrower one."""
    if Scope.SERVICE in {row.scope, scope}:
        return row.scope is scope
    return row.scope.width <= scope.width


def _holds(roles: Iterable[str], noun: str, action: str) -> str:
    """Whether the caller holds one of the roles, or the part of one that lets read this noun (`Access.shown`)."""
    roles = list(roles)
    if action == "read":
        roles += [f"{role}{PART}{noun}" for role in roles]
    # Looked up once per statement, not per row: the select is there for that.
    return f"(select string_to_array(current_setting('hub.roles', true), ',') && array[{_quoted(roles)}])"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# A setting that was set once and reset is '', not null: without nullif the cast would fail where nothing is found.
_MINE = "(select nullif(current_setting('hub.areas', true), '')::uuid[])"


def _rows(access: Access, name: str, reach: Reach) -> str:
    noun = access.nouns[name]
    if noun.through and reach is not Reach.COUNTY:
        column, parent = noun.through
        # Not merely those that the caller sees: of those, the ones that this reach is about.
        table = access.nouns[parent].tables[0]
        return f"{column} in (select id from {table} where {_rows(access, parent, reach)})"  # noqa: S608 - our own names
    if reach is Reach.OWN:
        return f"{noun.person} = (select nullif(current_setting('hub.person', true), '')::uuid)"
    if reach is Reach.AREA:
        areas = f"{_MINE}::uuid[]"
        return noun.lies_in.format(areas=areas) if noun.lies_in else f"{noun.area} = any ({areas})"
    return "true"
