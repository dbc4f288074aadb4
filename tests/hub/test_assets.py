"""The map's JavaScript: brought whole, checked, or not at all, and each time with a sentence."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest

from hub import assets

PROJECT_WEB = assets.WEB

# Stands where npm stands: writes what the lock asks for, counts its runs, and fails as npm fails.
NPM = f"""#!{sys.executable}
import json, os, pathlib, sys
here = pathlib.Path.cwd()
runs = pathlib.Path(os.environ["RUNS"])
runs.write_text(runs.read_text() + " ".join(sys.argv[1:]) + "\\n" if runs.exists() else " ".join(sys.argv[1:]) + "\\n")
if os.environ.get("NPM_SAYS"):
    sys.exit(os.environ["NPM_SAYS"])
for package, names in json.loads(os.environ["FILES"]).items():
    for name in names:
        file = here / "node_modules" / package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"/* {{package}} {{name}} */ @font-face{{{{src:url(data:font/woff)}}}} " + "x" * 2000)
"""


class Npm:
    """The npm of a test's PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.log = folder / "runs"
        binaries = folder / "bin"
        binaries.mkdir()
        for name in ("npm", "node"):
            (binaries / name).write_text(NPM)
            (binaries / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("RUNS", str(self.log))
        self.gives(assets.FILES)

    def gives(self, files: dict[str, tuple[str, ...]]) -> None:
        self.monkeypatch.setenv("FILES", json.dumps(files))

    def says(self, words: str) -> None:
        self.monkeypatch.setenv("NPM_SAYS", words)

    @property
    def runs(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    return Npm(tmp_path, monkeypatch)


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A checkout's web folder before anything was brought."""
    web = tmp_path / "web"
    for source in (*assets.SOURCES, "node.txt"):
        (web / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_WEB / source, web / source)
    return web


def listing(web: Path) -> set[str]:
    return {path.relative_to(web / "vendor").as_posix() for path in (web / "vendor").rglob("*") if path.is_file()}


# -- bringing ----------------------------------------------------------------------------------------------------------


def test_exactly_the_files_that_pages_load_are_kept(npm: Npm, web: Path) -> None:
    said: list[str] = []
    assert assets.bring(web, said.append)
    found = assets.stamp(web)
    assert found is not None
    assert listing(web) == {*found["files"], "stamp.json", ".lock"}  # type: ignore[misc]
    for package, version in assets.versions(web).items():
        assert (web / "vendor" / f"{package}-{version}").is_dir()
        assert any(path.name.startswith("LICENSE") for path in (web / "vendor" / f"{package}-{version}").iterdir())
    assert npm.runs == [
        "ci --ignore-scripts --omit=dev --no-progress --loglevel=error "
        "--fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000"
    ]
    assert "5 packages" in said[0]


def test_each_script_has_a_gzip_twin_with_the_same_content(npm: Npm, web: Path) -> None:
    assets.bring(web)
    twins = list((web / "vendor").rglob("*.gz"))
    assert twins
    for twin in twins:
        assert gzip.decompress(twin.read_bytes()) == twin.with_suffix("").read_bytes()


def test_typefaces_are_cut_from_the_editors_styles(npm: Npm, web: Path) -> None:
    assets.bring(web)
    styles = web / "vendor" / f"graphiql-{assets.versions(web)['graphiql']}" / "graphiql.min.css"
    assert "font-face" not in styles.read_text()


def test_the_second_time_nothing_is_fetched(npm: Npm, web: Path) -> None:
    assert assets.bring(web)
    assert not assets.bring(web)
    assert len(npm.runs) == 1


def test_another_lock_is_fetched_anew(npm: Npm, web: Path) -> None:
    assets.bring(web)
    lock = web / "package-lock.json"
    lock.write_text(lock.read_text().replace('"version": "18.2.0"', '"version": "18.2.9"'))
    assert assets.stamp(web) is None
    assert assets.bring(web)
    assert {path.name for path in (web / "vendor").iterdir() if path.name.startswith("react")} == {
        "react-18.2.9",
        "react-dom-18.2.9",
    }


def test_a_run_that_was_interrupted_is_done_again(npm: Npm, web: Path) -> None:
    assets.bring(web)
    vendor = web / "vendor"
    (vendor / "stamp.json").unlink()
    (vendor / ".work" / "node_modules").mkdir(parents=True)
    (vendor / "leftover.js").write_text("half")
    assert assets.bring(web)
    assert not (vendor / ".work").exists()
    assert not (vendor / "leftover.js").exists()


@pytest.mark.parametrize("harm", ["cut", "gone", "stamp"])
def test_what_was_harmed_is_mended(npm: Npm, web: Path, harm: str) -> None:
    assets.bring(web)
    victim = next((web / "vendor").rglob("maplibre-gl.mjs"))
    if harm == "cut":
        victim.write_text("x")
    elif harm == "gone":
        victim.unlink()
    else:
        (web / "vendor" / "stamp.json").write_text("{")
    assert assets.bring(web)
    assert victim.stat().st_size > 1000


def test_a_second_copy_waits_for_the_first(npm: Npm, web: Path) -> None:
    said: list[str] = []
    (web / "vendor").mkdir()
    with assets._alone(web / "vendor", said.append):
        second = threading.Thread(target=assets.bring, args=(web, said.append))
        second.start()
        second.join(0.3)
        assert second.is_alive()
    second.join(20)
    assert said[0].startswith("Another process is fetching")
    assert assets.stamp(web) is not None


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_package_without_a_listed_file_is_named(npm: Npm, web: Path) -> None:
    npm.gives(assets.FILES | {"maplibre-gl": ("LICENSE.txt",)})
    with pytest.raises(assets.AssetsError, match=r"maplibre-gl \S+ holds no dist/maplibre-gl.mjs"):
        assets.bring(web)
    assert assets.stamp(web) is None


def test_a_changed_package_stops_it(npm: Npm, web: Path) -> None:
    npm.says("npm error code EINTEGRITY\nnpm error sha512-… integrity checksum failed")
    with pytest.raises(assets.AssetsChanged, match="its hash differs"):
        assets.bring(web)
    assert listing(web) == {".lock"}


@pytest.mark.parametrize("code", ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT"])
def test_without_network_it_says_the_way_out(npm: Npm, web: Path, code: str) -> None:
    npm.says(f"npm error code {code}\nnpm error network request failed")
    with pytest.raises(assets.AssetsUnreachable, match="copy the folder hub/web/vendor"):
        assets.bring(web)


def test_what_npm_says_otherwise_is_passed_on(npm: Npm, web: Path) -> None:
    npm.says("npm error code EUSAGE\nnpm error something else is wrong")
    with pytest.raises(assets.AssetsError, match="something else is wrong"):
        assets.bring(web)


def test_the_command_ends_with_a_sentence(
    npm: Npm, web: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(assets.bring, "__defaults__", (web, print))
    npm.says("npm error code ENOTFOUND")
    assert assets.main() == 1
    assert "No package registry answers." in capsys.readouterr().err
    npm.says("")
    assert assets.main() == 0
    capsys.readouterr()
    assert assets.main() == 0
    assert capsys.readouterr().err == ""


# -- what is committed -------------------------------------------------------------------------------------------------


def test_no_registry_and_no_delivery_network_stand_in_the_tree() -> None:
    lock = json.loads((PROJECT_WEB / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert "://" not in package.get("resolved", ""), name
        if "version" in package:
            assert package["integrity"].startswith("sha512-"), name
    assert "omit-lockfile-registry-resolved=true" in (PROJECT_WEB / ".npmrc").read_text()
    for source in PROJECT_WEB.iterdir():
        if source.suffix in {".html", ".js", ".css"}:
            assert re.findall(r"(?:src|href|from|import|url)\W{1,3}(?:https?:)?//", source.read_text()) == [], (
                source.name
            )


def test_pages_load_the_versions_of_the_lock_and_nothing_that_is_not_kept() -> None:
    kept = {
        f"vendor/{package}-{assets.versions()[package]}/{Path(name).name}"
        for package, names in assets.FILES.items()
        for name in names
    }
    loaded = set()
    for source in PROJECT_WEB.iterdir():
        if source.suffix in {".html", ".js"}:
            # Leaflet is for maps of notebooks: hub/client/maps.py asks for it, and test_maps.py for its version.
            loaded |= set(re.findall(r"vendor/[\w./-]+", source.read_text()))
    assert loaded <= kept
    # The worker is found by MapLibre itself, beside its module.
    assert {name for name in kept - loaded if not re.search("LICENSE|worker|leaflet", name)} == set()


def test_every_module_of_a_page_is_fetched_at_once() -> None:
    for page, entry in (("index.html", "main.js"), ("graphiql.html", "editor.js")):
        text = (PROJECT_WEB / page).read_text()
        needed, seen = {entry}, set()
        while needed:
            module = needed.pop()
            seen.add(module)
            text_of = (PROJECT_WEB / module).read_text()
            # What is imported when it is needed (`import("./desk.js")`, for whoever signs in) is not for everybody.
            imports = re.findall(r"""^import[^;]*?from "\./([\w.]+\.js)\"""", text_of, re.MULTILINE)
            needed |= set(imports) - seen
        assert {name for name in seen if f"/static/{name}" not in text} == set()
