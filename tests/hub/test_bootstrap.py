"""`make up` and `make test` from nothing: a miniature checkout with the real bootstrap, the real Makefile, real pip.

The miniature's lock holds one package, made here, so that no network is needed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from hub import bootstrap
from hub.settings import PROJECT

BACKEND = """
    import zipfile

    def build_editable(folder, config_settings=None, metadata_directory=None):
        import os
        name, info = "kisumu_hub-0.1.0-py3-none-any.whl", "kisumu_hub-0.1.0.dist-info/"
        with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
            wheel.writestr("kisumu_hub.pth", os.getcwd())
            wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: kisumu-hub\\nVersion: 0.1.0\\n")
            wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
            wheel.writestr(info + "entry_points.txt", "[console_scripts]\\nhub = hub.cli:main\\n")
            wheel.writestr(info + "RECORD", "")
        return name
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of a hub that only says what it was started with."""
    place = tmp_path / "kisumu hub"
    (place / "hub/database").mkdir(parents=True)
    (place / "requirements").mkdir()
    for name in (
        "Makefile",
        "hub/bootstrap.py",
        "hub/__init__.py",
        "hub/database/__init__.py",
        "hub/database/installations.py",
    ):
        shutil.copy(PROJECT / name, place / name)
    (place / "hub/assets.py").write_text("")
    (place / "hub/cli.py").write_text(
        "import sys\nfrom wananchi import ANSWER\n"
        "def main():\n    print('hub runs:', *sys.argv[1:], ANSWER, flush=True)\n"
    )
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "kisumu-hub"\nversion = "0.1.0"\n'
    )
    (place / "backend.py").write_text(textwrap.dedent(BACKEND))
    lock(place, 1)
    return place


def lock(checkout: Path, version: int) -> None:
    """A package of that version on the shelf, and the locks that name it by its hash."""
    shelf = checkout.parent / "shelf"
    shelf.mkdir(exist_ok=True)
    wheel, info = shelf / f"wananchi-{version}-py3-none-any.whl", f"wananchi-{version}.dist-info"
    files = {
        "wananchi.py": f"ANSWER = {version}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: wananchi\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
            hashed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{name},sha256={hashed},{len(text)}\n"
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    pinned = f"wananchi=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    for name in ("hub", "test"):
        (checkout / f"requirements/{name}.txt").write_text(pinned)


def environment(checkout: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "HUB_", "MAKE", "MFLAGS"))}
    # The python3 that make finds is the one that runs the tests.
    path = f"{checkout.parent / 'bin'}:{own['PATH']}"
    (checkout.parent / "bin").mkdir(exist_ok=True)
    if not (checkout.parent / "bin/python3").is_symlink():
        (checkout.parent / "bin/python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    shelf = str(checkout.parent / "shelf").replace(" ", "%20")
    return own | {"PATH": path, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": shelf, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=checkout, env=environment(checkout), capture_output=True, text=True, check=False
    )


def started(checkout: Path, python: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(python or checkout.parent / "bin/python3"), "hub/bootstrap.py", "up"],
        cwd=checkout,
        env=environment(checkout),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def crowd() -> float:
    """How many times slower than promised things may be, because others use the machine."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def until(there: Path) -> None:
    deadline = time.monotonic() + 20
    while not there.exists():
        assert time.monotonic() < deadline, there
        time.sleep(0.005)


def test_up_sets_up_once_and_is_quick_and_quiet_then(checkout: Path) -> None:
    with started(checkout) as first:
        until(checkout / ".venv")
        beside = make(checkout, "up")
        assert beside.stdout == "Another `make` is setting this checkout up: waiting for it …\nhub runs: up 1\n"
        told, _ = first.communicate()
        assert "Making a Python environment" in told
        assert told.endswith("hub runs: up 1\n")

    began = time.monotonic()
    second = make(checkout, "up")
    assert (second.stdout, second.stderr, second.returncode) == ("hub runs: up 1\n", "", 0)
    assert time.monotonic() - began < 3 * crowd()

    lock(checkout, 2)
    assert make(checkout, "up").stdout.endswith("hub runs: up 2\n")

    lock(checkout, 3)
    changed = checkout / "requirements/hub.txt"
    changed.write_text(changed.read_text().replace("sha256:", "sha256:00")[:-3] + "\n")
    refused = make(checkout, "up")
    assert refused.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr
    assert "pip could not install the packages: its words stand above." in refused.stderr
    lock(checkout, 3)
    assert make(checkout, "up").stdout.endswith("hub runs: up 3\n")

    # The Python that it was made with goes away.
    for program in (checkout / ".venv/bin").glob("python*"):
        program.unlink()
        program.symlink_to("/nonexistent/python3")
    assert make(checkout, "up").stdout.endswith("hub runs: up 3\n")

    (checkout / ".hub").mkdir()
    cleaned = make(checkout, "clean")
    assert "The data stays" in cleaned.stdout
    assert not (checkout / ".venv").exists()
    assert (checkout / ".hub").exists()


def test_a_killed_run_is_taken_up(checkout: Path) -> None:
    with started(checkout) as killed:
        until(checkout / ".venv/hub-installing")
        killed.kill()
    again = make(checkout, "up")
    assert again.stdout.endswith("hub runs: up 1\n"), again.stdout + again.stderr
    assert json.loads((checkout / ".venv/hub-installed.json").read_text())["hub"]
    assert not (checkout / ".venv/hub-installing").exists()


def test_an_older_python_hands_over_to_a_newer_one(checkout: Path) -> None:
    versions = Path.home() / ".pyenv/versions"
    older = [program for minor in (7, 8, 9, 10) for program in versions.glob(f"3.{minor}.*/bin/python3")]
    older += [
        Path(place) for minor in (7, 8, 9, 10) if (place := shutil.which(f"python3.{minor}")) and "shims" not in place
    ]
    if not older:
        pytest.skip("no older Python is on this machine")
    with started(checkout, older[0]) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Making a Python environment")
        process.send_signal(signal.SIGINT)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="only where apt-get is")
@pytest.mark.skipif(
    os.geteuid() != 0
    or not shutil.which("unshare")
    or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0,
    reason="hides packages in a mount namespace, which takes root outside of a container",
)
def test_without_root_and_sudo_it_prints_the_commands(checkout: Path) -> None:
    # As nobody, with no PostgreSQL and no sudo to be found.
    for folder in checkout.parents:
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    python = "/usr/bin/python3"
    if (
        not Path(python).exists()
        or subprocess.run([python, "-c", "import sys; assert sys.version_info >= (3, 11)"]).returncode
    ):
        pytest.skip("the system's own Python is older")
    programs = checkout.parent / "programs"
    programs.mkdir()
    for name in ("sh", "mount", "setpriv", "apt-get", "apt-cache"):
        (programs / name).symlink_to(shutil.which(name) or "/nonexistent")
    script = 'mount -t tmpfs none /usr/lib/postgresql; exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
    told = subprocess.run(
        [shutil.which("unshare") or "", "-m", "sh", "-c", script, "sh", python, "hub/bootstrap.py", "up"],
        cwd=checkout,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert (
        "PostgreSQL with PostGIS missing here, and you are neither root nor is there sudo. As root, run" in told.stderr
    )
    for command in (
        "apt-get update",
        "apt-get install -y postgresql-common",
        "echo 'create_main_cluster = false' >> /etc/postgresql-common/createcluster.conf",
        "apt-get install -y postgresql-postgis",
    ):
        assert f"  {command}" in told.stderr


def test_a_checkout_that_somebody_else_set_up_is_named(checkout: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    checkout.chmod(0o555)
    refused = make(checkout, "up")
    assert "This checkout was set up by someone else" in refused.stderr


def test_ctrl_c_says_how_to_go_on(checkout: Path) -> None:
    with started(checkout) as process:
        until(checkout / ".venv/pyvenv.cfg")
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate()
    assert process.returncode == 130
    assert told.endswith("Stopped. `make up` goes on from here.\n")
    assert "Traceback" not in told


def test_every_linter_is_reported_and_fails_the_test_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "VENV", Path(sys.prefix))
    monkeypatch.setattr(bootstrap, "PROJECT", tmp_path)
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    failing = "print('line 7 is odd'); raise SystemExit(1)"
    monkeypatch.setattr(
        bootstrap,
        "LINTERS",
        {"first": ("python", "-c", failing), "second": ("python", "-c", ""), "third": ("python", "-c", "")},
    )
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = bootstrap.test(["-q"])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    told = capfd.readouterr().out
    assert code == 1
    assert told.startswith("line 7 is odd\nfirst: failed\nsecond: ok\nthird: ok\nLinters failed: first (")
    assert "1 passed" in told.splitlines()[-1]


def test_the_builder_calls_what_a_person_types() -> None:
    script = PROJECT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1].endswith("exec make test")


def test_help_names_every_target() -> None:
    targets = [line.split(":")[0] for line in (PROJECT / "Makefile").read_text().splitlines() if line[:1].isalpha()]
    benches = {"bench", "bench-scale", "bench-steady"}
    assert set(targets) == {"help", "up", "test", "prove", "fuzz", *benches, "notebooks", "lint", "clean"}
    for target in targets:
        assert f"make {target}" in bootstrap.HELP
