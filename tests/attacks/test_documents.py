"""Documents that cost more than they should: refused by count, before validation and without the database. Each ceiling
lets `n` pass and refuses `n + 1`."""

from __future__ import annotations

import itertools

import pytest
from graphql import Lexer, Source, TokenKind, get_introspection_query, parse

from hub.settings import Limits
from schema.api import schema
from schema.compiler import execution
from schema.compiler.admit import MAX_COMMENTS, MAX_FRAGMENTS, MAX_OPERATIONS
from schema.compiler.admit import admit_document as admit
from schema.compiler.connections import MAX_KEYS
from schema.compiler.filters import MAX_CONDITIONS, MAX_RELATIONS
from schema.compiler.kept import Kept
from schema.compiler.selection import MAX_MEMBERS
from schema.errors import BadUserInput, QueryTooComplex
from tests.attacks.conftest import Watch

LIMITS = Limits()
FIELDS = ("id", "code", "name", "aliases", "population", "populationYear", "areaKm2", "generalisedMeters", "__typename")


async def too_complex(watch: Watch, query: str, *said: str, variables: object = None) -> None:
    refusal = await watch.refused(query, variables, kind="documents")
    assert refusal[:2] == (400, "QUERY_TOO_COMPLEX"), refusal
    for word in said:
        assert word in refusal.message, refusal


def tokens_of(source: str) -> int:
    lexer, count = Lexer(Source(source)), 0
    while lexer.advance().kind is not TokenKind.EOF:
        count += 1
    return count


# -- ceilings ----------------------------------------------------------------------------------------------------------


async def test_a_document_has_so_many_bytes(watch: Watch) -> None:
    query = "{ county { id } }"
    most = LIMITS.max_document_bytes
    await watch.passes(query.ljust(most))
    await too_complex(watch, query.ljust(most + 1), f"{most:,}", "bytes")
    # Bytes, not letters.
    await too_complex(watch, "{ county { id } } #" + "é" * (most // 2), f"{most:,}", "bytes")


async def test_a_document_has_so_many_tokens(watch: Watch) -> None:
    def query(tokens: int) -> str:
        text = "{ wards(where: { population: { in: [%s] notIn: [%s] } }) { totalCount } }"
        numbers = tokens - tokens_of(text % ("", ""))
        return text % (" 1" * (numbers // 2), " 1" * (numbers - numbers // 2))

    assert tokens_of(query(LIMITS.max_tokens)) == LIMITS.max_tokens
    assert tokens_of(query(LIMITS.max_tokens + 1)) == LIMITS.max_tokens + 1
    await watch.passes(query(LIMITS.max_tokens))
    await too_complex(watch, query(LIMITS.max_tokens + 1), "2,000", "tokens")


async def test_a_document_has_so_many_comments(watch: Watch) -> None:
    await watch.passes("{ county { id } }" + "\n#" * MAX_COMMENTS)
    await too_complex(watch, "{ county { id } }" + "\n#" * (MAX_COMMENTS + 1), str(MAX_COMMENTS), "comments")


def deep(levels: int, leaf: str = "id") -> str:
    """An operation of exactly so many levels."""
    chain = itertools.chain(("county",), itertools.cycle(("subCounties(first: 1)", "nodes", "county")))
    fields = [field for _, field in zip(range(levels - 1), chain, strict=False)]
    if fields[-1] == "subCounties(first: 1)":
        leaf = "totalCount"
    return "{ " + " { ".join([*fields, leaf]) + " }" * levels


async def test_an_operation_nests_so_deep(watch: Watch) -> None:
    await watch.passes(deep(LIMITS.max_depth))
    for levels in (LIMITS.max_depth + 1, 40, 150):
        await too_complex(watch, deep(levels), "12", "nesting")


async def test_depth_is_counted_through_fragments(watch: Watch) -> None:
    inner = "fragment Inner on County { subCounties(first: 1) { nodes { county { %s } } } }"
    deep_inner = (
        inner % "subCounties(first: 1) { nodes { county { subCounties(first: 1) { nodes { county { id } } } } } }"
    )
    await watch.passes("{ county { ...Inner } } " + deep_inner)
    # The same fragment, spread deeper.
    await too_complex(
        watch, "{ county { subCounties(first: 1) { nodes { county { ...Inner } } } } } " + deep_inner, "12", "nesting"
    )


async def test_an_operation_has_so_many_root_fields(watch: Watch) -> None:
    def query(count: int) -> str:
        return "{ " + " ".join(f"c{at}: county {{ id }}" for at in range(count)) + " }"

    await watch.passes(query(LIMITS.max_root_fields))
    await too_complex(watch, query(LIMITS.max_root_fields + 1), "21", "20", "root fields")
    await too_complex(watch, "{ ...F ...F ...F } fragment F on Query " + query(7), "21", "20", "root fields")


async def test_an_operation_has_so_many_aliases(watch: Watch) -> None:
    def query(count: int) -> str:
        return "{ county { " + " ".join(f"a{at}: id" for at in range(count)) + " } }"

    await watch.passes(query(LIMITS.max_aliases))
    await too_complex(watch, query(LIMITS.max_aliases + 1), "51", "50", "aliases")
    await too_complex(watch, query(101), "101", "50", "aliases")
    # Through fragments: 26 aliases spread in two places.
    fragment = "fragment F on County { " + " ".join(f"a{at}: id" for at in range(26)) + " }"
    await too_complex(
        watch, '{ county { ...F } subCounty(code: "238") { county { ...F } } } ' + fragment, "52", "aliases"
    )


async def test_one_place_has_so_many_directives(watch: Watch) -> None:
    def query(count: int) -> str:
        return "{ county { id" + " @include(if: true)" * count + " } }"

    # Ten of them are counted, and then refused for another reason: this directive may stand only once.
    assert (await watch.refused(query(LIMITS.max_directives))).code == "BAD_USER_INPUT"
    await too_complex(watch, query(LIMITS.max_directives + 1), "11", "10", "directives")
    await too_complex(watch, "{ county { ..." + " @skip(if: false)" * 11 + " { id } } }", "directives")
    await too_complex(watch, "query" + " @skip(if: false)" * 11 + " { county { id } }", "directives")
    await too_complex(watch, "{ county { ...F } } fragment F on County" + " @a" * 11 + " { id }", "directives")
    await too_complex(watch, "query($v: Int" + " @a" * 11 + ") { wards(first: $v) { totalCount } }", "directives")


async def test_a_selection_set_names_a_field_so_often(watch: Watch) -> None:
    def query(count: int) -> str:
        return "{ county { " + "id " * count + "} }"

    await watch.passes(query(LIMITS.max_repeats))
    for count in (LIMITS.max_repeats + 1, 500, 999):
        await too_complex(watch, query(count), "20", "id")
    await too_complex(watch, "{ county { " + "... { id } " * 21 + "} }", "20", "id")
    await too_complex(watch, "{ " + "county { id id id } " * 7 + "}", "20", "id")  # merged from several places
    await too_complex(watch, "{ county { ...F ...F ...F } } fragment F on County { " + "id " * 7 + "}", "20", "id")


async def test_an_operation_has_so_many_selections(watch: Watch) -> None:
    def query(count: int) -> str:
        roots = []
        for at in range(20):
            leaves = 48 if at else 48 + count - 1000
            names = " ".join(itertools.islice(itertools.cycle(FIELDS), leaves))
            roots.append(f"w{at}: wards(first: 1) {{ nodes {{ {names} }} }}")
        return "{ " + " ".join(roots) + " }"

    await watch.passes(query(LIMITS.max_selections))
    await too_complex(watch, query(LIMITS.max_selections + 1), "1,001", "1,000", "selections")


async def test_a_document_has_so_many_operations(watch: Watch) -> None:
    def query(count: int) -> str:
        return " ".join(f"query Q{at} {{ county {{ id }} }}" for at in range(count))

    assert await watch.passes(query(MAX_OPERATIONS), name="Q3")
    await too_complex(watch, query(MAX_OPERATIONS + 1), "11", "10", "operations")


async def test_a_document_has_so_many_fragments(watch: Watch) -> None:
    def query(count: int) -> str:
        spreads = " ".join(f"...F{at}" for at in range(count))
        fragments = " ".join(f"fragment F{at} on Ward {{ {FIELDS[at % 9]} }}" for at in range(count))
        return f"{{ wards {{ nodes {{ {spreads} }} }} }} {fragments}"

    await watch.passes(query(MAX_FRAGMENTS))
    await too_complex(watch, query(MAX_FRAGMENTS + 1), "51", "50", "fragments")
    await too_complex(watch, query(200), "200", "50", "fragments")


async def test_an_operation_asks_for_so_many_rows(watch: Watch) -> None:
    query = "query($n: Int) { wards(first: 5000) { nodes { names(first: $n) { nodes { name } } } } }"
    await watch.passes(query, {"n": 9})
    await too_complex(watch, query, "55,000", "50,000", "rows", variables={"n": 10})
    # The same statement, its size now from a default, a literal, the page that stands without any.
    await too_complex(watch, query.replace("$n: Int", "$n: Int = 10"), "55,000")
    await too_complex(watch, query.replace("$n: Int", "$n: Int").replace("first: $n", "last: $n"), variables={"n": 10})
    await too_complex(watch, "{ wards(first: 1000) { nodes { names { nodes { name } } } } }", "51,000")
    twice = " ".join(f"w{at}: wards(first: 5000) {{ totalCount }}" for at in range(11))
    await too_complex(watch, f"{{ {twice} }}", "55,000")


async def test_a_filter_leads_through_so_many_relations(watch: Watch) -> None:
    def query(relations: int) -> str:
        where = "{}"
        for at in range(relations):
            where = f"{{ subCounty: {where} }}" if (relations - at) % 2 else f"{{ wards: {{ some: {where} }} }}"
        return f"{{ wards(where: {where}) {{ totalCount }} }}"

    await watch.passes(query(MAX_RELATIONS))
    await too_complex(watch, query(MAX_RELATIONS + 1), "4", "relations", "where")


async def test_the_filters_of_an_operation_make_so_many_conditions(watch: Watch) -> None:
    query = "query($v: WardFilter) { wards(where: $v) { totalCount } }"

    def either(count: int) -> dict[str, object]:
        return {"or": [{"code": {"eq": str(at)}} for at in range(count // 2)]}  # each is a member and a condition

    await watch.passes(query, {"v": either(MAX_CONDITIONS)})
    await too_complex(watch, query, "500", "conditions", variables={"v": either(MAX_CONDITIONS + 2)})
    # A filter counts in each list that has it, and for each thing that is asked of the list.
    both = "query($v: WardFilter) { a: wards(where: $v) { totalCount } b: wards(where: $v) { totalCount } }"
    await watch.passes(both, {"v": either(MAX_CONDITIONS // 2)})
    await too_complex(watch, both, "500", "conditions", variables={"v": either(MAX_CONDITIONS // 2 + 2)})
    asked = "query($v: WardFilter) { wards(where: $v) { totalCount nodes { code } } }"
    await too_complex(watch, asked, "500", "conditions", variables={"v": either(MAX_CONDITIONS // 2 + 2)})


async def test_one_variable_in_many_lists_does_not_multiply_the_work(watch: Watch) -> None:
    lists = " ".join(f"w{at}: wards(where: $v) {{ totalCount nodes {{ id }} }}" for at in range(20))
    query = f"query($v: WardFilter) {{ {lists} }}"
    for inner in ({"code": {"eq": "1"}}, {"names": {"some": {"name": {"eq": "1"}}}}, {"boundary": {"isNull": True}}):
        await too_complex(watch, query, "2,000", "conditions", variables={"v": {"or": [inner] * (MAX_MEMBERS // 10)}})


async def test_an_order_has_so_many_keys(watch: Watch) -> None:
    query = "query($o: [WardOrder!], $a: String) { wards(orderBy: $o, after: $a) { pageInfo { endCursor } } }"
    order = [{"generalisedMeters": "ASC"}, {"name": "DESC"}] * (MAX_KEYS // 2)
    page = await watch.passes(query, {"o": order})
    await watch.passes(query, {"o": order, "a": page["wards"]["pageInfo"]["endCursor"]})
    for more in (order[:1], order * 40):
        await too_complex(watch, query, "10", "keys", "orderBy", variables={"o": order + more})


async def test_a_literal_nests_so_deep(watch: Watch) -> None:
    def query(levels: int) -> str:
        where = "{}"
        for _ in range(levels - 1):
            where = f"{{ not: {where} }}"
        return f"{{ wards(where: {where}) {{ totalCount }} }}"

    await watch.passes(query(LIMITS.max_variable_depth))
    for levels in (LIMITS.max_variable_depth + 1, 300):
        await too_complex(watch, query(levels), "deep")
    lists = "[" * 300 + "]" * 300
    await too_complex(watch, f"{{ wards(where: {{ boundary: {{ bbox: {lists} }} }}) {{ totalCount }} }}", "deep")
    await too_complex(
        watch,
        f"query($v: WardFilter = {{ boundary: {{ bbox: {lists} }} }}) {{ wards(where: $v) {{ totalCount }} }}",
        "deep",
    )


# -- attacks by name ---------------------------------------------------------------------------------------------------

DOUBLING = " ".join(f"fragment F{at} on Query {{ ...F{at + 1} ...F{at + 1} }}" for at in range(24))
DOUBLING_FIELDS = " ".join(
    f"fragment F{at} on County {{ subCounties {{ nodes {{ county {{ ...F{at + 1} ...F{at + 1} }} }} }} }}"
    for at in range(24)
)

ATTACKS = {
    "doubling fragments": "{ ...F0 } " + DOUBLING + " fragment F24 on Query { county { id } }",
    "doubling fragments with fields": "{ county { ...F0 } } " + DOUBLING_FIELDS + " fragment F24 on County { id }",
    "doubling fragments that nobody uses": "{ county { id } } " + DOUBLING + " fragment F24 on Query { county { id } }",
    "doubling fragments in an operation that is not asked for": "query A { county { id } } query B { ...F0 } "
    + DOUBLING
    + " fragment F24 on Query { county { id } }",
    "a fragment that spreads itself": "{ county { ...F } } fragment F on County { ...F }",
    "a fragment that spreads itself below": (
        "{ county { ...F } } fragment F on County { subCounties { nodes { county { ...F } } } }"
    ),
    "two fragments that spread each other": (
        "{ county { ...A } } fragment A on County { ...B } fragment B on County { ...A }"
    ),
    "a circle that nobody spreads": "{ county { id } } fragment A on County { ...B } fragment B on County { ...A }",
    "repeats in a fragment that nobody uses": "{ county { id } } fragment F on County { " + "id " * 990 + "}",
    "repeats in the first of two fragments of one name": (
        "{ county { ...F } } fragment F on County { " + "id " * 990 + "} fragment F on County { id }"
    ),
    "inline fragments, one in another": "{ county { " + "... { " * 400 + "id" + " }" * 402,
    "lists without end": "{ wards(where: " + "[" * 1500,
    "a type that nests": "query($v: " + "[" * 700 + "Int" + "]" * 700 + ") { county { id } }",
    "a deep query in a fragment named like introspection": (
        "{ ...__schema } fragment __schema on Query " + deep(LIMITS.max_depth + 1)
    ),
    "a deep query under an alias named like introspection": deep(LIMITS.max_depth + 1).replace(
        "{ county", "{ __schema: county", 1
    ),
    "circular introspection": "{ __schema { types { fields { type { fields { type { fields { type { fields { type "
    "{ name } } } } } } } } } } }",
    "circular introspection by fragments": "{ __schema { types { ...A } } } "
    "fragment A on __Type { fields { type { ...B } } } fragment B on __Type { fields { type { ...C } } } "
    "fragment C on __Type { fields { type { ...D } } } "
    "fragment D on __Type { fields { type { name } } }",
    "introspection of possible types in circles": "{ __schema { types { possibleTypes { interfaces { possibleTypes "
    "{ interfaces { possibleTypes { interfaces { possibleTypes { name } } } } } } } } } }",
    "introspection without end": "{ __schema { types { " + "ofType { " * 40 + "name" + " }" * 43,
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_known_attack_is_too_complex(watch: Watch, name: str) -> None:
    await too_complex(watch, ATTACKS[name])


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        "{",
        "{ }",
        "{" * 1500,
        "{ county { } }",
        "{ county }",
        "{ county { nothing } }",
        "{ ward(code: 1186) { id } }",
        "{ ward { id } }",
        "{ county { ...F } }",
        "{ county { id } } { county { id } }",
        "query A { county { id } } query A { county { id } }",
        "query($a: Int, $a: Int) { wards(first: $a) { totalCount } }",
        "query($a: Nothing) { county { id } }",
        "{ wards(first: $a) { totalCount } }",
        "query($a: Int) { county { id } }",
        "query a limit { county { id } }",
        "{ more than limit } }",
        "fragment F on County { id }",
        "type A { b: Int }",
        "extend type Query { b: Int }",
        "schema { query: Query }",
        "mutation { county { id } }",
        "subscription { county { id } }",
        "\ufeff{ county { nothing } }",
        "{ county { id \ud800 } }",
        '{ ward(code: "\\ud800") { id } }',
        '{ ward(code: "\ud800") { id } }',
        "{ county { id } } \x00",
        '{ ward(code: "\\u0000") { id } }',
        "{ county { \u202e } }",
        "{ county { ф } }",
    ],
)
async def test_what_is_no_operation_of_the_api_is_bad_input(watch: Watch, query: str) -> None:
    refusal = await watch.refused(query)
    assert refusal[:2] == (400, "BAD_USER_INPUT"), refusal


@pytest.mark.parametrize("options", list(itertools.product([True, False], repeat=5)))
async def test_the_editors_own_introspection_passes(watch: Watch, options: tuple[bool, ...]) -> None:
    watch.sessions.statements.clear()
    await watch.passes(get_introspection_query(*options))
    assert not watch.sessions.statements


async def test_introspection_beside_data_counts_for_itself(watch: Watch) -> None:
    inner = get_introspection_query().split("{", 1)[1].rsplit("fragment FullType", 1)
    beside = "query { wards(first: 1) { nodes { code } }" + inner[0] + "fragment FullType" + inner[1]
    data = await watch.passes(beside)
    assert data["wards"]["nodes"] == [{"code": "1186"}]
    assert data["__schema"]["queryType"]["name"] == "Query"


async def test_no_operation_of_several_runs_when_none_or_an_unknown_one_is_named(watch: Watch) -> None:
    two = "query A { county { id } } query B { county { code } }"
    for name in (None, "", "C", "a", "A "):
        refusal = await watch.refused(two, name=name)
        assert refusal[:2] == (400, "BAD_USER_INPUT")
        assert "operationName" in refusal.message
    assert await watch.passes(two, name="B") == {"county": {"code": "042"}}
    assert (await watch.refused("{ county { id } }", name="A")).code == "BAD_USER_INPUT"


async def test_many_refused_documents_leave_nothing_behind(watch: Watch) -> None:
    before = len(schema._documents), len(schema._statements)
    for at in range(20):
        await too_complex(watch, f"query Q{at} {{ county {{ " + "id " * 50 + "} }")
    assert (len(schema._documents), len(schema._statements)) == before


async def test_a_document_that_was_refused_is_refused_again_without_being_read(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        execution, "admit_document", lambda source, limits: read.append(source) or admit(source, limits)
    )
    aliases = "{ " + " ".join(f"again{at}: county {{ id }}" for at in range(LIMITS.max_aliases + 1)) + " }"
    broken = "{ county { again"
    for query in (aliases, broken, aliases, broken):
        first, second = [await watch.refused(query, kind="documents") for _ in range(2)]
        assert first == second
        assert first.message
    assert read == [aliases, broken]
    # Of other limits it says nothing.
    with pytest.raises(QueryTooComplex):
        schema.document(aliases, LIMITS)
    schema.document(aliases, Limits(max_aliases=1000, max_root_fields=1000))
    for at in range(3000):
        with pytest.raises(BadUserInput):
            schema.document(f"{{ county {{ {at}", LIMITS)
    assert schema._refused.weight <= schema._refused.capacity


def test_what_is_kept_is_bounded_by_what_it_weighs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short statement keeps the whole document alive that it came from, and that may be long."""
    padding = " ".join(["1"] * 900)
    other = f"query B {{ wards(where: {{ population: {{ in: [{padding}] }} }}) {{ totalCount }} }}"
    monkeypatch.setattr(schema, "_statements", Kept(20 * execution.BYTES_FOR_CHARACTER * len(other)))
    for at in range(100):
        schema.compiled(f"query A{at} {{ county {{ id }} }} {other}", None, f"A{at}", LIMITS)
    kept = {operation.loc.source.body for _, (_, operation, _) in _statements() if operation.loc}
    assert 15 <= len(kept) <= 20


def _statements() -> list[tuple[object, tuple]]:
    return [(key, value) for key, (value, _) in schema._statements._values.items()]


def test_the_counting_helper_counts_as_the_parser_does() -> None:
    assert parse("{ county { id } }", max_tokens=tokens_of("{ county { id } }"))
