"""From a fresh clone to a running hub: `make up` and `make test` start here, with the system's Python and nothing else.

Every step looks first whether it is done, so that the second run costs next to nothing, and leaves its mark only when
it succeeded, so that a killed run is taken up where it broke off.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
MARK = VENV / "hub-installed.json"
"""Says what was installed completely."""
BROKEN_OFF = VENV / "hub-installing"
"""Is there while something is being installed: a run that finds it knows that the last one was killed."""

HELD: list[int] = []
"""The lock on this checkout, once it is ours."""

LINTERS = {
    "ruff check": ("ruff", "check", "."),
    "ruff format": ("ruff", "format", "--check", "."),
    "import-linter": ("lint-imports",),
    "mypy": ("mypy",),
}
BROWSERS = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")

HELP = """make up                start the hub; installs what is missing first
make test              run every test; ARGS="-k wards" passes options to pytest
make prove             break the hub on purpose for three minutes and count what it kept; ARGS="--seed N" repeats
make fuzz              send what a generator makes of the schema, as everybody; ARGS="--minutes 60"
make bench             measure the hub beside its peers on the same rows, 15 minutes long; ONLY=q1,tiles a part of it
make bench-scale       hold the hub over 10 million incidents and 100 million positions beside itself over the county of
                       `make bench`: 45 minutes long, and 60 GB of disk
make bench-steady      an hour of everything at once, and what the workers' memory does; ARGS="--minutes 30"
make notebooks         open the notebooks in JupyterLab, signed in to the hub that runs; ARGS="--url …"
make lint              ruff, import-linter and mypy alone
make clean             remove what the two commands made, except the data
make help              this text

Settings are environment variables: HUB_PORT=8001 make up. hub/docs/settings.md lists them all."""


class Refused(Exception):
    """A step cannot be done; the message says why and what to do."""


def main(command: str, arguments: list[str]) -> int:
    try:
        if command == "up":
            prepare(for_tests=False)
            become("hub", "up", *arguments)
        elif command == "test":
            prepare(for_tests=True)
            return test(arguments)
        elif command == "prove":
            prepare(for_tests=True, browser=False)
            become("python", "-m", "tests.faults.prove", *arguments)
        elif command == "fuzz":
            prepare(for_tests=True, browser=False)
            beside("fuzz")
            become("python", "-m", "tests.faults.fuzz", *arguments)
        elif command in ("bench", "bench-scale"):
            prepare(for_tests=True, browser=False)
            for_bench()
            become("python", "-m", "bench.growth" if command == "bench-scale" else "bench", *arguments)
        elif command == "bench-steady":
            prepare(for_tests=True, browser=False)
            become("python", "-m", "bench.steady", *arguments)
        elif command == "notebooks":
            prepare(for_tests=False)
            beside("notebooks")
            become("python", "-m", "hub.client.notebooks", *arguments)
        elif command == "lint":
            prepare(for_tests=True, browser=False)
            return 0 if lint() else 1
        elif command == "clean":
            clean()
        else:
            print(HELP)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nStopped. `make {command}` goes on from here.", file=sys.stderr)
        return 130
    return 0


def prepare(for_tests: bool, browser: bool = True) -> None:
    newest_python()
    # Two runs in one checkout would write into each other's environment. The lock ends with the process or its exec,
    # and with the children of one that was killed, which go on writing without it.
    lock = os.open(PROJECT, os.O_RDONLY)
    HELD.append(lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("Another `make` is setting this checkout up: waiting for it …", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    system_packages(for_tests, browser and for_tests)
    environment(for_tests)
    javascript()
    HELD.remove(lock)
    os.close(lock)


# -- Python ------------------------------------------------------------------------------------------------------------


def newest_python() -> None:
    """Go on as Python 3.11 or newer."""
    if sys.version_info >= (3, 11):  # noqa: UP036  this file alone may be started by an older one
        return
    for minor in (14, 13, 12, 11):
        for folder in ("", "/usr/local/bin/", "/opt/homebrew/bin/", "/usr/bin/"):
            name = shutil.which(f"{folder}python3.{minor}")
            program = name and real_python(name)
            if program:
                os.execv(program, [program, __file__, *sys.argv[1:]])  # noqa: S606  no shell is the point
    way_out = (
        "brew install python@3.13" if sys.platform == "darwin" else "sudo apt-get install python3.11 python3.11-venv"
    )
    raise Refused(
        f"The hub needs Python 3.11 or newer; this is {sys.version.split()[0]}. "
        f"Install one (`{way_out}`, or your system's way) and start again."
    )


def real_python(name: str) -> str:
    """Where that Python really is; "" for a version manager's stand-in of one that is not chosen here."""
    asked = run([name, "-c", "import sys; print(sys.executable)"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return "" if asked.returncode else asked.stdout.decode().strip()


# -- the system's packages ---------------------------------------------------------------------------------------------


def system_packages(for_tests: bool, browser: bool) -> None:
    sys.path[0] = str(PROJECT)  # in place of hub/, whose modules would hide others of the same name
    from hub.database.installations import NEWEST, OLDEST, installations

    missing, what = [], []
    # With a database of one's own the embedded one is never touched; the tests always make theirs.
    if for_tests or not os.environ.get("HUB_DATABASE_URL"):
        usable = [one for one in installations() if OLDEST <= one.major <= NEWEST]
        if not any(one.postgis for one in usable):
            what.append("PostGIS" if usable else "PostgreSQL with PostGIS")
            missing.append(f"postgresql-{usable[0].major}-postgis-3" if usable else "postgresql-postgis")
    if not MARK.exists() and not has_ensurepip():
        what.append("Python's venv")
        missing.append("python{}.{}-venv".format(*sys.version_info))
    if for_tests and not shutil.which("ogrinfo"):
        what.append("GDAL's programs")
        missing.append("gdal-bin")
    if browser and not chromium():
        what.append("Chromium")
        missing.append("chromium")
    if browser and sys.platform == "linux" and not has_fonts():
        what.append("a font for it")
        missing.append("fonts-dejavu-core")
    if browser and sys.platform == "linux" and not has_atomic():
        what.append("a library that drives it")
        missing.append("libatomic1")
    if not missing:
        return
    named = ", ".join(what)
    if sys.platform == "darwin":
        brew = {"chromium": "--cask chromium", "gdal-bin": "gdal"}
        wanted = " ".join(brew.get(name, "postgresql@18 postgis") for name in missing if "venv" not in name)
        raise Refused(f"{named} missing here. Run `brew install {wanted}` and start again.")
    if not shutil.which("apt-get"):
        raise Refused(
            "{} missing here, and this system has no apt-get. Install it with the system's own packages and start "
            "again; on Debian they are {}.".format(named, " ".join(missing))
        )
    if "chromium" in missing and not apt_knows("chromium"):
        missing[missing.index("chromium")] = chromium_of_ubuntu()
    Apt(named).install(missing)


def has_ensurepip() -> bool:
    """Debian leaves it out of its Python: a venv made without it has no pip."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        return False
    return True


def has_fonts() -> bool:
    """Without any font Chromium draws every label of the map as boxes."""
    listed = shutil.which("fc-list")
    if listed:
        return bool(run([listed], stdout=subprocess.PIPE).stdout.strip())
    return any(Path("/usr/share/fonts").rglob("*.ttf")) if Path("/usr/share/fonts").exists() else False


def has_atomic() -> bool:
    """What playwright's driver is linked with; a small Debian has no other use for it."""
    try:
        ctypes.CDLL("libatomic.so.1")
    except OSError:
        return False
    return True


def chromium() -> str | None:
    """A browser that really is one: on Ubuntu `chromium-browser` may be a script that asks for a snap."""
    places = [shutil.which(name) for name in BROWSERS]
    if sys.platform == "darwin":
        applications = Path("/Applications")
        places += [str(applications / f"{name}.app/Contents/MacOS/{name}") for name in ("Chromium", "Google Chrome")]
    for place in places:
        if place and os.access(place, os.X_OK):
            with open(place, "rb") as file:  # noqa: PTH123
                asks_for_snap = b"snap install" in file.read(4096)
            if not asks_for_snap or os.access("/snap/bin/chromium", os.X_OK):
                return place
    return None


def chromium_of_ubuntu() -> str:
    """The package that brings the snap, where snaps can be installed at all."""
    if Path("/run/snapd.socket").exists() and apt_knows("chromium-browser"):
        return "chromium-browser"
    raise Refused(
        "The browser tests need Chromium, which Ubuntu has as a snap only, and no snap service runs here. Put "
        "google-chrome or chromium on the PATH and start again, or leave these tests out: "
        "make test ARGS=\"-m 'not browser'\""
    )


def apt_knows(package: str) -> bool:
    shown = run(
        ["apt-cache", "policy", package], stdout=subprocess.PIPE, env=dict(os.environ, LC_ALL="C")
    ).stdout.decode()
    return "Candidate:" in shown and "Candidate: (none)" not in shown


class Apt:
    """Debian's package manager, as root or by way of sudo, never asking anything."""

    CREATE_CLUSTER = Path("/etc/postgresql-common/createcluster.conf")
    NO_CLUSTER = (
        "\n# The Kisumu hub runs a cluster of its own; without this line a new PostgreSQL starts one for everybody.\n"
        "create_main_cluster = false\n"
    )

    def __init__(self, what: str) -> None:
        self.what = what
        self.updated = False
        self.prefix: list[str] = []
        if os.geteuid() != 0:
            if shutil.which("sudo"):
                # Without a terminal nobody can type a password: then it must go without, or say so at once.
                self.prefix = ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]
            else:
                self.prefix = ["(as root)"]

    def install(self, packages: list[str]) -> None:
        brings_server = "postgresql-postgis" in packages
        by_hand = [
            *(
                [
                    "apt-get install -y postgresql-common",
                    f"echo 'create_main_cluster = false' >> {self.CREATE_CLUSTER}",
                ]
                if brings_server
                else []
            ),
            "apt-get install -y " + " ".join(packages),
        ]
        way_out = "As root, run\n  apt-get update\n  " + "\n  ".join(by_hand) + "\nand start again."
        if self.prefix == ["(as root)"]:
            raise Refused(f"{self.what} missing here, and you are neither root nor is there sudo. {way_out}")
        if self.prefix and run([*self.prefix, "true"]).returncode != 0:
            raise Refused(f"{self.what} missing here, and sudo let you install nothing. {way_out}")
        print(f"Installing {self.what} ({', '.join(packages)}) with apt-get:", flush=True)
        if not all(apt_knows(package) for package in packages):
            self.update(way_out)
        if brings_server:
            # The server's package would start a cluster for everybody; this file must be there before it.
            self._install(["postgresql-common"], way_out)
            self._refuse_cluster()
        self._install(packages, way_out)

    def update(self, way_out: str) -> None:
        if not self.updated:
            self.updated = True
            if self._run("update") != 0:
                raise Refused(f"apt-get could not update its lists: is the network there? {way_out}")

    def _install(self, packages: list[str], way_out: str) -> None:
        if self._run("install", "--no-install-recommends", *packages) == 0:
            return
        # Two things go wrong on good machines: lists that are older than the mirror, and a dpkg that was killed.
        self.update(way_out)
        run([*self.prefix, "dpkg", "--configure", "-a"], stdout=subprocess.DEVNULL)
        if self._run("install", "--no-install-recommends", *packages) != 0:
            raise Refused(f"apt-get could not install {', '.join(packages)}: its words stand above. {way_out}")

    def _run(self, *arguments: str) -> int:
        quiet = ["DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "LC_ALL=C"]
        options = ["-y", "-q", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Options::=--force-confold"]
        return with_progress([*self.prefix, "env", *quiet, "apt-get", *options, *arguments])

    def _refuse_cluster(self) -> None:
        there = self.CREATE_CLUSTER.read_text() if self.CREATE_CLUSTER.exists() else ""
        if any(line.strip().startswith("create_main_cluster") for line in there.splitlines()):
            return  # whoever set it had a reason
        command = [*self.prefix, "tee", "-a", str(self.CREATE_CLUSTER)]
        if run(command, input=self.NO_CLUSTER.encode(), stdout=subprocess.DEVNULL).returncode != 0:
            raise Refused(f"{self.CREATE_CLUSTER} cannot be written, and without it PostgreSQL starts a cluster.")


# -- the environment ---------------------------------------------------------------------------------------------------


def environment(for_tests: bool) -> None:
    """`.venv` with exactly the locked packages and the hub itself, in place."""
    wanted = {
        "python": "{}.{}.{} {}".format(*sys.version_info[:3], Path(base_python()).resolve()),
        "project": digest("pyproject.toml"),
        "hub": digest("requirements/hub.txt"),
    }
    if for_tests:
        wanted["test"] = digest("requirements/test.txt")
    done = installed()
    if all(done.get(key) == value for key, value in wanted.items()) and (VENV / "bin/python").exists():
        return
    try:
        if (done and done.get("python") != wanted["python"]) or BROKEN_OFF.exists() or not python_works():
            make_environment()
            done = {}
        BROKEN_OFF.touch()
        MARK.unlink(missing_ok=True)
    except OSError as error:
        raise Refused(f"{error.strerror} at {error.filename}. {who_may_write()}") from None
    # The locks agree with each other, and the tests' holds all of the hub's.
    lock = "test" if for_tests else "hub"
    if done.get(lock) != wanted[lock]:
        print(f"Installing the Python packages of requirements/{lock}.txt:", flush=True)
        pip("--require-hashes", "-r", f"requirements/{lock}.txt")
    pip("--no-deps", "--no-build-isolation", "-e", ".")
    MARK.write_text(json.dumps(done | wanted))
    BROKEN_OFF.unlink()


def beside(lock: str) -> None:
    """What one command alone needs beside the hub, from a lock of its own."""
    file, done = f"requirements/{lock}.txt", installed()
    wanted = digest(file)
    if done.get(lock) == wanted:
        return
    print(f"Installing the Python packages of {file}:", flush=True)
    pip("--require-hashes", "-r", file)
    MARK.write_text(json.dumps(done | {lock: wanted}))


def for_bench() -> None:
    """wrk, which makes the load. The peers themselves are installed by the benchmark, which says who is missing."""
    if shutil.which("wrk"):
        return
    if sys.platform == "darwin" or not shutil.which("apt-get"):
        way_out = "`brew install wrk`" if sys.platform == "darwin" else "the system's own packages"
        raise Refused(f"wrk missing here. Install it with {way_out} and start again.")
    Apt("wrk").install(["wrk"])


def make_environment() -> None:
    if VENV.exists():
        print("The Python environment was half made, or made by another Python: making it anew.", flush=True)
        BROKEN_OFF.touch()  # stays to the last, in case this is killed as well
        for place in VENV.iterdir():
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            elif place != BROKEN_OFF:
                place.unlink()
    elif not os.access(PROJECT, os.W_OK):
        raise Refused(f"You may not write in {PROJECT}. {who_may_write()}")
    print(f"Making a Python environment in {VENV} …", flush=True)
    made = run([base_python(), "-m", "venv", str(VENV)], stdout=subprocess.PIPE)
    if made.returncode != 0:
        raise Refused(f"Python could not make {VENV}: {made.stdout.decode().strip()}")


def base_python() -> str:
    """Not the one in `.venv`, should somebody have activated that: it is about to be replaced."""
    return str(getattr(sys, "_base_executable", sys.executable))


def installed() -> dict[str, str]:
    try:
        return dict(json.loads(MARK.read_text()))
    except (OSError, ValueError):
        return {}


def python_works() -> bool:
    """Whether `.venv` has a Python of this version with pip, whoever made it."""
    try:
        shown = run(
            [str(VENV / "bin/python"), "-c", "import pip, sys; print(*sys.version_info[:2])"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        ).stdout.decode()
    except OSError:
        return False
    return shown.split() == [str(part) for part in sys.version_info[:2]]


def pip(*arguments: str) -> None:
    command = [str(VENV / "bin/python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    if with_progress([*command, "--progress-bar=off", "--retries=10", *arguments]) != 0:
        BROKEN_OFF.unlink(missing_ok=True)  # pip undoes what it could not finish; only a killed one leaves halves
        raise Refused(
            "pip could not install the packages: its words stand above. Where the network failed, start again: "
            "what was fetched is kept."
        )


def javascript() -> None:
    """What the map and the editor need, fetched by lock; the module says when it has something to do."""
    if run([str(VENV / "bin/python"), "-m", "hub.assets"], cwd=PROJECT).returncode != 0:
        raise Refused("The map's JavaScript could not be fetched: the reason stands above.")


def digest(name: str) -> str:
    return hashlib.sha256((PROJECT / name).read_bytes()).hexdigest()


def who_may_write() -> str:
    owner = PROJECT.owner()
    return f"This checkout was set up by someone else: start as {owner} or with sudo, or use a clone of your own."


# -- lint and test -----------------------------------------------------------------------------------------------------


def lint() -> bool:
    """All linters at once, reported in order, the quick ones first."""
    began = time.monotonic()
    running = {
        name: subprocess.Popen(
            [str(VENV / "bin" / command[0]), *command[1:]],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for name, command in LINTERS.items()
    }
    failed = []
    try:
        for name, process in running.items():
            output, _ = process.communicate()
            if process.returncode != 0:
                failed.append(name)
                print(output.decode(errors="replace").rstrip())
            print("{}: {}".format(name, "failed" if process.returncode else "ok"), flush=True)
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
    verdict = f"failed: {', '.join(failed)}" if failed else "ok"
    print(f"Linters {verdict} ({time.monotonic() - began:.0f} s).", flush=True)
    return not failed


def test(arguments: list[str]) -> int:
    # A process for each core, each with databases of its own on one cluster; a file's tests stay together, because they
    # share what they made. `ARGS="-n 0"` runs them one after the other.
    arguments = ["-n", str(os.cpu_count() or 1), "--dist", "loadfile", *arguments]
    if lint():
        become("python", "-m", "pytest", *arguments)
    print("The tests run all the same; `make test` fails in any case.", flush=True)
    tests = subprocess.Popen([str(VENV / "bin/python"), "-m", "pytest", *arguments], cwd=PROJECT)
    signal.signal(signal.SIGTERM, lambda number, frame: tests.terminate())
    # Ctrl-C reaches pytest by itself, which clears up and then ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return tests.wait() or 1


def become(program: str, *arguments: str) -> None:
    """Go on as this program: signals reach it directly, and nothing stands between."""
    for name in ("PYTHONHOME", "PYTHONPATH"):
        os.environ.pop(name, None)
    path = str(VENV / "bin" / program)
    os.chdir(PROJECT)
    sys.stdout.flush()
    os.execv(path, [path, *arguments])  # noqa: S606  no shell is the point


def clean() -> None:
    for place in (
        VENV,
        PROJECT / ".bench",
        PROJECT / "hub/web/vendor",
        *PROJECT.glob(".*_cache"),
        PROJECT / ".hypothesis",
    ):
        if place.exists():
            print(f"Removing {place.relative_to(PROJECT)}")
            shutil.rmtree(place)
    print("The data stays: the county's database is in .hub, or where HUB_HOME says. `make up` sets up again.")


# -- children, and their progress --------------------------------------------------------------------------------------


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, check=False, pass_fds=HELD, **options)


def with_progress(command: list[str]) -> int:
    """Run something slow: a line every few seconds of what it is at, all of its last words when it fails."""
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=HELD,
    )
    assert process.stdout is not None
    lines: list[str] = []

    def read() -> None:
        lines.extend(line.decode(errors="replace").strip() for line in process.stdout or () if line.strip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    began, said = time.monotonic(), ""
    try:
        while True:
            try:
                process.wait(timeout=3)
                break
            except subprocess.TimeoutExpired:
                latest = next((line[:90] for line in reversed(lines) if not line.startswith("WARNING")), "…")
                print(f"  {time.monotonic() - began:4.0f} s  {latest if latest != said else '…'}", flush=True)
                said = latest
    except BaseException:
        process.terminate()
        process.wait()
        raise
    reader.join(timeout=5)
    if process.returncode != 0:
        print(shlex.join(command[:1]) + " said:", *lines[-20:], sep="\n  ", file=sys.stderr)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "help", sys.argv[2:]))
