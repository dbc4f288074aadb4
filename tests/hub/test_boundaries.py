"""A GIS officer's file of official outlines: reported, loaded beside what is followed, followed, and back again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import psycopg
import pytest
import shapely

from tests.commands import hub
from tests.conftest import County, copied

COD = {"code": "ADM3_PCODE", "name": "ADM3_EN", "sub_county": "ADM2_EN"}
IEBC = {"code": "COUNTY_ASS", "name": "COUNTY_A_1", "sub_county": "const"}


@pytest.fixture
def county(cluster: Any, template: str) -> Iterator[County]:
    with copied(cluster, template) as made:
        yield made


@pytest.fixture(scope="session")
def wards(database: County) -> geopandas.GeoDataFrame:
    """What the hub holds, as a source might draw it."""
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute(
            "select w.code, w.name, s.name, st_asbinary(w.boundary) from wards w "
            "join sub_counties s on s.id = w.sub_county_id order by w.code"
        ).fetchall()
    return geopandas.GeoDataFrame(
        {"code": [row[0] for row in rows], "name": [row[1] for row in rows], "sub_county": [row[2] for row in rows]},
        geometry=[shapely.from_wkb(row[3]) for row in rows],
        crs=4326,
    )


def load(county: County, file: Path, *more: str) -> tuple[int, list[str]]:
    ran = hub("load", "areas", str(file), *more, HUB_DATABASE_URL=county.login_url, HUB_OWNER_URL=county.owner_url)
    return ran.returncode, (ran.stdout + ran.stderr).splitlines()


def boundaries(county: County, *more: str) -> tuple[int, list[str]]:
    ran = hub("boundaries", *more, HUB_DATABASE_URL=county.login_url, HUB_OWNER_URL=county.owner_url)
    return ran.returncode, (ran.stdout + ran.stderr).splitlines()


def stored(county: County) -> int:
    with psycopg.connect(county.owner_url) as connection:
        (many,) = connection.execute("select count(*) from area_boundaries").fetchone() or (0,)
        return int(many)


def moved(wards: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The same outlines, thirty metres to the east: another survey's."""
    made = wards.copy()
    made.geometry = made.geometry.translate(0.0003)
    return made


@pytest.mark.parametrize("kind", ["shp", "gpkg", "geojson", "zip"])
def test_any_file_in_any_system_is_read(
    county: County, wards: geopandas.GeoDataFrame, tmp_path: Path, kind: str
) -> None:
    """With another county's wards in it, in UTM 36 south, under the names of COD-AB or of IEBC's files."""
    named = wards.rename(columns=COD if kind in ("gpkg", "geojson") else IEBC)
    county_column = "ADM1_EN" if kind in ("gpkg", "geojson") else "COUNTY_NAM"
    named[county_column] = "KISUMU"
    other = named.iloc[:2].copy()
    other[county_column] = "SIAYA"
    whole = geopandas.pd.concat([named, other])
    if kind != "geojson":
        whole = whole.to_crs(32736)
    path = tmp_path / f"wards.{'shp' if kind == 'zip' else kind}"
    whole.to_file(path)
    if kind == "zip":
        path = tmp_path / "wards.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for part in tmp_path.glob("wards.*"):
                if part.suffix != ".zip":
                    archive.write(part, part.name)
    code, said = load(county, path, "--dry-run")
    assert code == 0, said
    assert f"{'ADM3_EN' if county_column == 'ADM1_EN' else 'COUNTY_A_1'}" in said[0]
    assert ("EPSG:4326" if kind == "geojson" else "EPSG:32736") in said[0]
    assert said[1] == "matched: 35 (35 by name)"
    assert said[2] == "2 features of other counties were left out"
    # Turned to metres and back, the shapes are themselves: nothing is swapped, overlaps or misses.
    assert [line for line in said if line.startswith(("LOOK", "WRONG", "overlap", "gap", "parent", "invalid"))] == []
    assert stored(county) == 43


def test_what_is_wrong_with_a_file_is_said_before_anything_is_written(
    county: County, wards: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    made = wards.rename(columns=COD)
    by_name = {name: at for at, name in enumerate(made["ADM3_EN"])}
    shapes = made.geometry.tolist()
    ahero, kobura = by_name["Ahero"], by_name["Kobura"]
    shapes[ahero], shapes[kobura] = shapes[kobura], shapes[ahero]  # swapped
    migosi = by_name["Migosi"]
    shapes[migosi] = shapes[migosi].buffer(0.004)  # over its neighbours, and far too large
    chemelil = by_name["Chemelil"]
    heart = shapes[chemelil].representative_point().buffer(0.01)
    shapes[chemelil] = shapes[chemelil].difference(heart)  # a hole that nobody fills
    dunga = by_name["Nyalenda B"]
    shapes[dunga] = shapely.union(shapes[dunga], shapely.box(34.70, -0.16, 34.73, -0.13))  # into the lake
    bow = shapely.Polygon([(34.8, -0.05), (34.82, -0.03), (34.82, -0.05), (34.8, -0.03)])
    kajulu = by_name["Kajulu"]
    shapes[kajulu] = shapely.MultiPolygon([*shapely.get_parts(shapes[kajulu]), bow])  # crosses itself
    made.geometry = shapes
    made.loc[by_name["Awasi/Onjiko"], "ADM3_EN"] = "AWASI ONJIKO"
    made.loc[by_name["Kisumu North"], "ADM3_EN"] = "North Kisumu"
    made.loc[by_name["Ombeyi"], "ADM3_EN"] = "Ombeyii"
    made.loc[by_name["Ombeyi"], "ADM3_PCODE"] = ""
    made.loc[by_name["Miwani"], "ADM3_EN"] = "Something else"
    made.loc[by_name["Miwani"], "ADM3_PCODE"] = "9"
    made.loc[by_name["Railways"], "ADM2_EN"] = "Seme"
    path = tmp_path / "wards.gpkg"
    made.to_file(path)
    code, said = load(county, path, "--source", "wrong-2026")
    report = "\n".join(said)
    assert code == 1
    assert said[-1] == "Nothing was written."
    for line in (
        "LOOK  swapped: the shapes of Ahero (1208) and Kobura (1210) look swapped",
        "LOOK  guess: feature 27, Ombeyii, was taken for Ombeyi (1212)",
        "WRONG  missing: Miwani (1211) is not in the file",
        "Something else, is no unit that the hub knows",
        "is put under Seme; the hub has Kisumu Central",
        "invalid: Kajulu (1186), feature 1: Self-intersection",
        "overlap: ",
        "Migosi (1197) share",
        "between Chemelil",
        "lake: Nyalenda B (1201) takes in",
        "area: Migosi (1197) has",
    ):
        assert line in report, f"{line!r} is not in\n{report}"
    assert stored(county) == 43


def test_a_version_is_followed_and_the_way_back_is_open(
    county: County, wards: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "wards.geojson"
    moved(wards).rename(columns=COD).to_file(path)
    told = ("--source", "survey-2026", "--publisher", "Survey of Kenya", "--title", "Wards 2026")
    code, said = load(county, path, *told)
    assert (code, said[-1].split(" are stored")[0]) == (0, "35 outlines"), said
    west = _west(county)
    # It is there and changes nothing yet.
    assert stored(county) == 43 + 43
    listed = boundaries(county)[1]
    assert [line.split(", ")[-1] for line in listed if line.startswith("survey")] == ["0 followed today"]
    assert load(county, path, *told)[1][-1].endswith("there is a source of this name; each file is another one.")
    for _ in range(2):
        code, said = boundaries(county, "use", "survey-2026")
        assert (code, said[-1].split(" of ")[0]) == (0, "43 outlines"), said
        assert _west(county) == pytest.approx(west + 0.0003, abs=1e-9)
        # Back on the same day.
        sources = [line.partition(":")[0] for line in listed if not line.startswith("survey")]
        for source in sources:
            boundaries(county, "use", source)
        assert _west(county) == pytest.approx(west, abs=1e-9)
    code, said = boundaries(county, "use", "nobody")
    assert (code, "no source of this name draws outlines" in said[-1]) == (1, True)
    with psycopg.connect(county.owner_url) as connection:
        # Nothing was overwritten, and on each day one outline a unit is followed.
        many = connection.execute("select count(*) from area_boundaries where accepted and upper_inf(valid)").fetchone()
        assert many == (43,)
        connection.execute("set role hub_owner")
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("delete from area_boundaries")


def test_an_incident_lies_in_the_ward_of_its_own_day(
    county: County, wards: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    """From the first of the month Ahero and Kobura have each other's land: what happened before stays where it was."""
    made = wards.rename(columns=COD)
    by_code = {code: at for at, code in enumerate(made["ADM3_PCODE"])}
    shapes = made.geometry.tolist()
    one, other = by_code["1208"], by_code["1210"]
    shapes[one], shapes[other] = shapes[other], shapes[one]
    made.geometry = shapes
    path = tmp_path / "wards.geojson"
    made.to_file(path)
    told = ("--source", "exchange-2026", "--from", "2026-11-01", "--activate")
    code, said = load(county, path, *told)
    assert (code, said[-1]) == (1, "Nothing was written: say --looked-at once you did.")
    code, said = load(county, path, *told, "--looked-at")
    assert code == 0, said
    point = wards.geometry[one].representative_point()
    with psycopg.connect(county.owner_url) as connection:
        connection.execute("set role hub_owner")
        for day, ward in (
            (datetime(2026, 10, 31, 12, tzinfo=UTC), "1208"),
            (datetime(2026, 11, 1, tzinfo=UTC), "1210"),
        ):
            (found,) = connection.execute(
                "with i as (insert into incidents (kind, title, severity, certainty, urgency, location, occurred_at, "
                "source) values ('fire', 'Fire', 'minor', 'observed', 'immediate', st_geomfromwkb(%s, 4326), %s, "
                "'phone') returning ward_id) select w.code from i join wards w on w.id = i.ward_id",
                (point.wkb, day),
            ).fetchone() or ("",)
            assert found == ward


@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        ("{", (), "GDAL cannot read it"),
        (json.dumps({"type": "FeatureCollection", "features": []}), (), "none of its columns"),
        (None, ("--columns", "name=WARDS"), "has no such column"),
        (None, ("--columns", "height=WARDS"), "say name, code, parent or county"),
        (None, ("--layer", "nothing"), "GDAL cannot read it"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    county: County, wards: geopandas.GeoDataFrame, tmp_path: Path, content: str | None, more: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "wards.geojson"
    if content is None:
        wards.iloc[:1].rename(columns=COD).to_file(path)
    else:
        path.write_text(content)
    code, lines = load(county, path, "--dry-run", *more)
    assert (code, said in lines[-1]) == (1, True), lines


def _west(county: County) -> float:
    with psycopg.connect(county.owner_url) as connection:
        (west,) = connection.execute("select st_xmin(boundary) from wards where code = '1208'").fetchone() or (0,)
        return float(west)
