"""The county as it is loaded: its units, its sums, its lake; and facts that are added to, never overwritten."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
import shapely
from psycopg import errors
from shapely.geometry import shape

from geo.boundaries import area_km2
from hub.county import derive
from hub.county.files import FOLDER, TABLES, read, write
from hub.county.load import CountyRefused, load_county
from hub.settings import PROJECT

if TYPE_CHECKING:
    from tests.conftest import County

SLIVER_KM2 = 0.001
"""How much two outlines may overlap: a thousand square metres, far below what outlines of 100-200 m can mean."""


@pytest.fixture(scope="module")
def owner(database: County) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def changing(fresh_database: County) -> Iterator[psycopg.Connection]:
    """The owner on a county that the test may change."""
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        connection.execute("set role hub_owner")
        yield connection


@pytest.fixture(scope="module")
def refusing(copies: Callable[[], AbstractContextManager[County]]) -> Iterator[psycopg.Connection]:
    """The owner on a county that stays as it is because everything that these tests try is refused."""
    with copies() as county, psycopg.connect(county.owner_url, autocommit=True) as connection:
        connection.execute("set role hub_owner")
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the county's files to change."""
    return Path(shutil.copytree(FOLDER, tmp_path / "county"))


def one(connection: psycopg.Connection, question: str, *values: object) -> Any:
    row = connection.execute(question.encode(), values or None).fetchone()
    assert row is not None
    return row[0]


def everything(connection: psycopg.Connection) -> dict[str, list[Any]]:
    tables = [*TABLES, "counties", "sub_counties", "wards"]
    # With the transaction that wrote each row: rewriting it with the same values would show.
    return {
        table: connection.execute(f"select t::text, xmin::text from {table} t order by id".encode()).fetchall()
        for table in tables
    }


# -- what is there -----------------------------------------------------------------------------------------------------


def test_the_units_and_their_codes(owner: psycopg.Connection) -> None:
    assert owner.execute("select code, name from counties").fetchall() == [("042", "Kisumu")]
    assert owner.execute(
        "select s.code, s.name, count(*) from sub_counties s join wards w on w.sub_county_id = s.id "
        "group by 1, 2 order by 1"
    ).fetchall() == [
        ("238", "Kisumu East", 5),
        ("239", "Kisumu West", 5),
        ("240", "Kisumu Central", 6),
        ("241", "Seme", 4),
        ("242", "Nyando", 5),
        ("243", "Muhoroni", 5),
        ("244", "Nyakach", 5),
    ]
    codes = [code for (code,) in owner.execute("select code from wards order by code")]
    assert codes == [str(code) for code in range(1186, 1221)]


def test_names_and_the_other_spellings(owner: psycopg.Connection) -> None:
    spelt = "select name, aliases from wards where code = '{}'"
    assert owner.execute(spelt.format("1193").encode()).fetchone() == ("Kisumu North", ["North Kisumu"])
    assert owner.execute(spelt.format("1209").encode()).fetchone() == ("Kabonyo/Kanyagwal", ["Kabonyo Kanyagwal"])
    assert owner.execute(spelt.format("1198").encode()).fetchone() == (
        "Shauri Moyo Kaloleni",
        ["Shauri Moyo", "Shaurimoyo", "Shaurimoyo Kaloleni"],
    )


def test_nyalenda_a_is_in_kisumu_east_and_the_other_source_is_on_record(owner: psycopg.Connection) -> None:
    found = owner.execute(
        "select p.code, m.accepted, s.slug, m.note is not null from area_memberships m "
        "join areas a on a.id = m.area_id join areas p on p.id = m.parent_id join sources s on s.id = m.source_id "
        "where a.code = '1189' order by 1"
    ).fetchall()
    assert found == [("238", True, "red-cross-wards", True), ("240", False, "iebc-polygons", True)]
    shown = "select s.code from wards w join sub_counties s on s.id = w.sub_county_id where w.code = '1189'"
    assert one(owner, shown) == "238"


def test_population_and_land_are_the_sums_of_the_wards(owner: psycopg.Connection) -> None:
    assert one(owner, "select population from counties") == 968_909
    assert one(owner, "select area_km2 from counties") == 2119.1
    assert one(owner, "select sum(population) from wards") == 968_909
    apart = """
        select s.code from sub_counties s join wards w on w.sub_county_id = s.id group by s.id
        having sum(w.population) <> s.population or abs(sum(w.area_km2) - s.area_km2) > 1e-9
    """
    assert owner.execute(apart.encode()).fetchall() == []
    assert owner.execute("select distinct population_year from wards").fetchall() == [(2009,)]


def test_ids_are_the_committed_ones_and_of_version_7(owner: psycopg.Connection) -> None:
    for table in TABLES:
        listed = [row["id"] for row in read(table)]
        assert len(set(listed)) == len(listed)
        assert {UUID(id_).version for id_ in listed} == {7}
        assert {str(id_) for (id_,) in owner.execute(f"select id from {table}".encode())} == set(listed)


def test_everything_has_a_source_and_the_attribution_is_in_the_notice(owner: psycopg.Connection) -> None:
    notice = " ".join((PROJECT / "NOTICE").read_text().split())
    for title, attribution in owner.execute("select title, attribution from sources where licence like 'CC-BY%'"):
        assert attribution in notice, f"NOTICE does not attribute {title}"
    cited = {row["source"] for table in TABLES for row in read(table) if "source" in row}
    assert cited <= {row["slug"] for row in read("sources")}


# -- shapes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["counties", "sub_counties", "wards"])
def test_label_points_are_inside(owner: psycopg.Connection, table: str) -> None:
    outside = f"select code from {table} where not st_contains(boundary, label_point)"
    assert owner.execute(outside.encode()).fetchall() == []


@pytest.mark.parametrize("table", ["sub_counties", "wards"])
def test_units_do_not_overlap_and_leave_no_gap(owner: psycopg.Connection, table: str) -> None:
    overlaps = f"""
        select a.code, b.code, st_area(st_intersection(a.boundary, b.boundary)::geography) / 1e6
        from {table} a join {table} b on a.code < b.code and st_intersects(a.boundary, b.boundary)
        where st_area(st_intersection(a.boundary, b.boundary)::geography) / 1e6 > {SLIVER_KM2}
    """
    assert owner.execute(overlaps.encode()).fetchall() == []
    uncovered = f"""
        select st_area(st_symdifference((select boundary from counties), st_union(boundary))::geography) / 1e6
        from {table}
    """
    assert one(owner, uncovered) <= SLIVER_KM2
    assert one(owner, "select st_numinteriorrings(st_geometryn(boundary, 1)) from counties") == 0


def test_sub_counties_are_their_wards(owner: psycopg.Connection) -> None:
    apart = f"""
        select s.code from sub_counties s join wards w on w.sub_county_id = s.id group by s.id
        having st_area(st_symdifference(s.boundary, st_union(w.boundary))::geography) / 1e6 > {SLIVER_KM2}
    """
    assert owner.execute(apart.encode()).fetchall() == []


def test_the_lake_lies_at_the_shore_and_not_on_land(owner: psycopg.Connection) -> None:
    assert owner.execute("select name, approximate from waters").fetchall() == [("Winam Gulf", True)]
    on_land = "select max(st_area(st_intersection(w.boundary, l.boundary)::geography)) / 1e6 from wards w, waters l"
    assert one(owner, on_land) <= SLIVER_KM2
    # All of its edge is shore, but for the line across the gulf's mouth.
    edge = "select st_length(st_boundary(boundary)::geography) / 1000 from waters"
    shore = (
        "select st_length(st_collectionextract(st_intersection(st_boundary(l.boundary), st_boundary(c.boundary)), 2)"
        "::geography) / 1000 from waters l, counties c"
    )
    mouth = "select st_distance(st_point(%s, %s, 4326)::geography, st_point(%s, %s, 4326)::geography) / 1000"
    (north, south) = derive.GULF_MOUTH
    assert one(owner, edge) - one(owner, shore) == pytest.approx(one(owner, mouth, *north, *south), abs=0.01)


def test_the_lake_is_smaller_than_reported_and_says_so(owner: psycopg.Connection) -> None:
    size = one(owner, "select area_km2 from waters")
    assert one(owner, "select st_area(boundary::geography) / 1e6 from waters") == pytest.approx(size, rel=0.001)
    assert 450 < size < derive.REPORTED_WATER_KM2
    assert f"about {derive.REPORTED_WATER_KM2 - size:.0f} km2 farther out" in one(owner, "select note from waters")


def test_outlines_are_told_as_geojson_in_the_right_order(owner: psycopg.Connection) -> None:
    # RFC 7946: longitude first, outer rings counter-clockwise.
    clockwise = "select count(*) from wards where not st_ispolygonccw(boundary)"
    assert one(owner, clockwise) == 0
    given = shape(
        {"type": "MultiPolygon", "coordinates": one(owner, "select boundary_json::json->'coordinates' from counties")}
    )
    assert given.bounds == pytest.approx((34.4133, -0.4158, 35.3424, 0.0234))


def test_derived_files_are_what_the_wards_say() -> None:
    def close(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
        return area_km2(shapely.symmetric_difference(shape(ours), shape(theirs))) < SLIVER_KM2

    for kept, made in zip(read("area_boundaries"), derive.boundaries(), strict=True):
        assert close(kept["boundary"], made["boundary"]), kept["area"]
        # Which of two equally good middles is found depends on the library's version; that it is as good does not.
        edge = shape(kept["boundary"]).boundary
        assert edge.distance(shapely.Point(kept["label_point"])) == pytest.approx(
            edge.distance(shapely.Point(made["label_point"])), abs=2e-4
        )
        assert {**kept, "boundary": 0, "label_point": 0} == {**made, "boundary": 0, "label_point": 0}
    assert read("area_figures") == [{name: value or None for name, value in row.items()} for row in derive.figures()]
    (kept,), made = read("waters"), derive.lake()
    assert close(kept["boundary"], made["boundary"])
    assert {**kept, "boundary": 0} == {**made, "boundary": 0}


# -- loading again -----------------------------------------------------------------------------------------------------


def test_loading_again_changes_nothing(fresh_database: County, changing: psycopg.Connection) -> None:
    before = everything(changing)
    said: list[str] = []
    load_county(fresh_database.owner_url, said.append)
    assert everything(changing) == before
    assert said == ["County: 7 sub-counties, 35 wards, 1 water (nothing new)"]


def test_a_file_that_overwrites_a_fact_is_refused(
    fresh_database: County, changing: psycopg.Connection, folder: Path
) -> None:
    before = everything(changing)
    rows = read("area_figures", folder)
    rows[0]["value"] = "1"
    write("area_figures", rows, folder)
    with pytest.raises(CountyRefused, match=f"area_figures {rows[0]['id']}: value differs"):
        load_county(fresh_database.owner_url, folder=folder)
    assert everything(changing) == before


def test_a_file_that_names_nothing_is_refused(fresh_database: County, folder: Path) -> None:
    rows = read("area_names", folder)
    rows[0]["source"] = "hearsay"
    write("area_names", rows, folder)
    with pytest.raises(CountyRefused, match="there is no source hearsay"):
        load_county(fresh_database.owner_url, folder=folder)


def test_a_file_with_a_second_official_name_is_refused(fresh_database: County, folder: Path) -> None:
    rows = read("area_names", folder)
    write("area_names", [*rows, {**rows[0], "id": "01a205b3-0000-7000-8000-000000000001", "name": "Other"}], folder)
    with pytest.raises(CountyRefused, match="area_names_one_official"):
        load_county(fresh_database.owner_url, folder=folder)


def test_a_new_release_closes_a_name_and_adds_the_next(
    fresh_database: County, changing: psycopg.Connection, folder: Path
) -> None:
    rows = read("area_names", folder)
    old = next(row for row in rows if row["name"] == "Kajulu")
    new = {**old, "id": "01a205b3-0000-7000-8000-000000000001", "name": "Kajulu Hills", "from": "2026-01-01"}
    old["until"] = "2026-01-01"
    write("area_names", [*rows, new], folder)
    said: list[str] = []
    load_county(fresh_database.owner_url, said.append, folder=folder)
    assert said[0].endswith("(1 facts added, 1 closed)")
    assert one(changing, "select name from wards where code = '1186'") == "Kajulu Hills"
    old["until"] = "2025-01-01"
    write("area_names", [*rows, new], folder)
    with pytest.raises(CountyRefused, match="valid differs"):
        load_county(fresh_database.owner_url, folder=folder)


def test_what_the_county_closed_stays_closed(fresh_database: County, changing: psycopg.Connection) -> None:
    rename(changing)
    load_county(fresh_database.owner_url)
    assert one(changing, "select name from wards where code = '1186'") == "Kajulu Hills"


def test_words_about_a_source_may_be_put_better(
    fresh_database: County, changing: psycopg.Connection, folder: Path
) -> None:
    rows = read("sources", folder)
    rows[0]["note"] = "Better words."
    write("sources", rows, folder)
    load_county(fresh_database.owner_url, folder=folder)
    assert one(changing, "select note from sources where slug = %s", rows[0]["slug"]) == "Better words."


# -- facts -------------------------------------------------------------------------------------------------------------


def rename(connection: psycopg.Connection) -> None:
    """Kajulu is called Kajulu Hills from 2026 on."""
    connection.execute("update area_names set valid = daterange(lower(valid), '2026-01-01') where name = 'Kajulu'")
    connection.execute(
        "insert into area_names (area_id, name, kind, valid, source_id) "
        "select area_id, 'Kajulu Hills', kind, '[2026-01-01,)', source_id from area_names where name = 'Kajulu'"
    )


def test_a_closed_fact_and_the_next_one_show_each_on_their_days(changing: psycopg.Connection) -> None:
    rename(changing)
    shown = "select name from wards where code = '1186'"
    changing.execute("select refresh_areas('2026-01-01')")
    assert one(changing, shown) == "Kajulu Hills"
    changing.execute("select refresh_areas('2025-12-31')")
    assert one(changing, shown) == "Kajulu"


def test_the_projection_is_what_the_facts_say(owner: psycopg.Connection) -> None:
    for table, level in (("counties", "county"), ("sub_counties", "sub_county"), ("wards", "ward")):
        parent = {"counties": "null::uuid", "sub_counties": "t.county_id", "wards": "t.sub_county_id"}[table]
        facts = f"""
            select a.id, a.code, n.name,
              coalesce((select array_agg(x.name order by x.name collate "C") from area_names x
                where x.area_id = a.id and x.kind = 'alias' and x.valid @> current_date), '{{}}'),
              (select m.parent_id from area_memberships m
                where m.area_id = a.id and m.accepted and m.valid @> current_date),
              (select f.value::integer from area_figures f where f.area_id = a.id and f.figure = 'population'),
              (select extract(year from f.as_of)::integer from area_figures f
                where f.area_id = a.id and f.figure = 'population'),
              (select f.value::double precision from area_figures f
                where f.area_id = a.id and f.figure = 'land_area_km2'),
              b.boundary, b.generalised_meters, b.label_point
            from areas a join area_names n on n.area_id = a.id and n.kind = 'official' and n.valid @> current_date
            join area_boundaries b on b.area_id = a.id and b.valid @> current_date
            where a.level = '{level}'
        """
        shown = f"""
            select t.id, t.code, t.name, t.aliases, {parent}, t.population, t.population_year, t.area_km2, t.boundary,
              t.generalised_meters, t.label_point from {table} t
        """
        assert owner.execute(f"({facts}) except all ({shown})".encode()).fetchall() == []
        assert owner.execute(f"({shown}) except all ({facts})".encode()).fetchall() == []


def test_before_the_first_fact_there_is_no_unit(changing: psycopg.Connection) -> None:
    changing.execute("select refresh_areas('2012-03-05')")
    assert one(changing, "select count(*) from wards") + one(changing, "select count(*) from counties") == 0
    changing.execute("select refresh_areas('2012-03-06')")
    assert one(changing, "select count(*) from wards") == 35


def test_a_refresh_of_the_same_day_writes_nothing(changing: psycopg.Connection) -> None:
    changing.execute("select refresh_areas(current_date)")
    before = everything(changing)
    changing.execute("select refresh_areas(current_date)")
    assert everything(changing) == before


def test_a_unit_that_lacks_a_part_is_refused_by_name(changing: psycopg.Connection) -> None:
    changing.execute(
        "update area_boundaries set valid = daterange(lower(valid), '2026-01-01') "
        "where area_id = (select id from areas where code = '1208')"
    )
    with pytest.raises(errors.IntegrityConstraintViolation, match=r"ward Ahero \(1208\) .* but no boundary"):
        changing.execute("select refresh_areas('2026-06-01')")
    assert one(changing, "select count(*) from wards") == 35


@pytest.mark.parametrize(
    "statement",
    [
        "update area_names set name = 'X' where name = 'Kajulu'",
        "update area_names set valid = '[2013-01-01,)' where name = 'Kajulu'",
        "update area_names set valid = '[2012-03-06,2026-01-01)', name = 'X' where name = 'Kajulu'",
        "update area_names set valid = '[2013-01-01,2026-01-01)' where name = 'Kajulu'",
        "delete from area_names where name = 'Kajulu'",
        "truncate area_names",
        "update area_memberships set accepted = not accepted",
        "update area_boundaries set boundary = st_translate(boundary, 0.001, 0), "
        "label_point = st_translate(label_point, 0.001, 0)",
        "update area_boundaries set generalised_meters = null",
        "delete from area_boundaries",
        "update waters set area_km2 = 567",
        "update waters set boundary = st_translate(boundary, 0.001, 0)",
        "update area_figures set value = value + 1",
        "delete from area_figures",
        "update areas set code = '9999' where code = '1186'",
        "truncate areas cascade",
    ],
)
def test_overwriting_a_fact_is_refused_with_the_way_out(refusing: psycopg.Connection, statement: str) -> None:
    before = everything(refusing)
    with pytest.raises(errors.RestrictViolation, match="never overwritten or removed") as refusal:
        refusing.execute(statement.encode())
    assert refusal.value.diag.message_hint
    assert everything(refusing) == before


def test_a_fact_is_closed_once(changing: psycopg.Connection) -> None:
    close = "update area_names set valid = daterange(lower(valid), '{}') where name = 'Kajulu'"
    changing.execute(close.format("2026-01-01").encode())
    for again in ("2026-02-01", "infinity"):
        with pytest.raises(errors.RestrictViolation):
            changing.execute(close.format(again).encode())


# -- what no fact may be -----------------------------------------------------------------------------------------------

NAME = "insert into area_names (area_id, name, kind, valid, source_id) select a.id, {}, s.id from areas a, sources s "
NAME += "where a.code = '1186' and s.slug = 'iebc-2012'"
SHAPE = (
    "insert into area_boundaries (area_id, boundary, label_point, valid, source_id) "
    "select a.id, {}, '[2000-01-01,2000-02-01)', s.id from areas a, sources s "
    "where a.code = '1186' and s.slug = 'iebc-2012'"
)
FIGURE = "insert into area_figures (area_id, figure, value, as_of, source_id) select a.id, {}, s.id "
FIGURE += "from areas a, sources s where a.code = '1186' and s.slug = 'iebc-2012'"
SQUARE = "st_multi(st_makeenvelope(34, 0, 34.1, 0.1, 4326))"
BOW = "'srid=4326;multipolygon(((34 0, 34.1 0.1, 34.1 0, 34 0.1, 34 0)))'"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (NAME.format("'Other', 'official', '[2020-01-01,)'"), "area_names_one_official"),
        (NAME.format("'Kajulu', 'alias', '[2020-01-01,)'"), "area_names_said_once"),
        (NAME.format("' Other', 'alias', '[2020-01-01,)'"), "area_names_said"),
        (NAME.format("'Other', 'nickname', '[2020-01-01,)'"), "area_names_kind"),
        (NAME.format("'Other', 'alias', 'empty'"), "area_names_valid_dated"),
        (NAME.format("'Other', 'alias', '(,2020-01-01)'"), "area_names_valid_dated"),
        (
            "insert into area_memberships (area_id, parent_id, accepted, valid, source_id) select area_id, "
            "(select id from areas where code = '239'), true, '[2020-01-01,)', source_id from area_memberships limit 1",
            "area_memberships_one_accepted",
        ),
        (
            "insert into area_memberships (area_id, parent_id, accepted, valid, source_id) "
            "select area_id, area_id, false, valid, source_id from area_memberships limit 1",
            "area_memberships_of_another",
        ),
        (
            SHAPE.replace("[2000-01-01,2000-02-01)", "[2020-01-01,)").format(
                f"{SQUARE}, 'srid=4326;point(34.05 0.05)'"
            ),
            "area_boundaries_one_at_a_time",
        ),
        (SHAPE.format(f"{BOW}, 'srid=4326;point(34.05 0.02)'"), "area_boundaries_boundary_valid"),
        (SHAPE.format("'srid=4326;multipolygon empty', 'srid=4326;point(34 0)'"), "area_boundaries_boundary_not_empty"),
        (SHAPE.format(f"{SQUARE}, 'srid=4326;point empty'"), "area_boundaries_label_point_(not_empty|inside)"),
        (SHAPE.format(f"{SQUARE}, 'srid=4326;point(35 0.05)'"), "area_boundaries_label_point_inside"),
        (SHAPE.format(f"{SQUARE}, st_point('nan', 0, 4326)"), "area_boundaries_label_point_inside"),
        # Latitude and longitude swapped.
        (
            SHAPE.format("st_multi(st_makeenvelope(0, 34, 0.1, 34.1, 4326)), 'srid=4326;point(0.05 34.05)'"),
            "area_boundaries_boundary_in_range",
        ),
        (
            SHAPE.format(
                "st_multi(st_makepolygon(st_makeline(array[st_point(34,0,4326), st_point('nan',0,4326), "
                "st_point(34.1,0.1,4326), st_point(34,0,4326)]))), 'srid=4326;point(34 0)'"
            ),
            "area_boundaries_boundary_(valid|in_range)",
        ),
        (
            SHAPE.format(
                "st_multi(st_makepolygon(st_makeline(array[st_point(34,0,4326), st_point('infinity',0,4326), "
                "st_point(34.1,0.1,4326), st_point(34,0,4326)]))), 'srid=4326;point(34 0)'"
            ),
            "area_boundaries_boundary_(valid|in_range)",
        ),
        (FIGURE.format("'voters', 1, date '2020-01-01'"), "area_figures_figure"),
        (FIGURE.format("'population', 1.5, date '2020-01-01'"), "area_figures_people_whole"),
        (FIGURE.format("'population', -1, date '2020-01-01'"), "area_figures_value_finite"),
        (FIGURE.format("'land_area_km2', 'nan', date '2020-01-01'"), "area_figures_value_finite"),
        (FIGURE.format("'land_area_km2', 'infinity', date '2020-01-01'"), "area_figures_value_finite"),
        (FIGURE.format("'population', 5, date '2009-08-24'"), "area_figures_said_once"),
        ("insert into areas (level, code) values ('village', '123')", "areas_level"),
        ("insert into areas (level, code) values ('ward', '12x')", "areas_code_form"),
        ("insert into areas (level, code) values ('ward', '1186')", "areas_level_code_key"),
    ],
)
def test_nonsense_is_refused(refusing: psycopg.Connection, statement: str, constraint: str) -> None:
    with pytest.raises(errors.IntegrityError, match=constraint):
        refusing.execute(statement.encode())


def test_our_uuids_are_of_version_7_and_sort_by_time(owner: psycopg.Connection) -> None:
    made = []
    for _ in range(5):
        made.append(one(owner, "select public.uuidv7()"))
        owner.execute("select pg_sleep(0.002)")
    assert [id_.version for id_ in made] == [7] * 5
    assert {id_.variant for id_ in made} == {"specified in RFC 4122"}
    assert made == sorted(made)
    now = one(owner, "select extract(epoch from clock_timestamp())")
    assert abs((made[-1].int >> 80) / 1000 - float(now)) < 5
