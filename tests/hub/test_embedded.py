"""The private cluster, broken on purpose in every way that we know: it comes up, or says what is wrong."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psycopg
import pytest

from hub.database.embedded import PORT, SETTINGS, SOCKET_LIMIT, Account, Cluster, home_for
from hub.database.installations import ClusterFailed, installations
from hub.settings import PROJECT, Database

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="becomes another user")
needs_mounts = pytest.mark.skipif(
    not ROOT or not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0,
    reason="mounts file systems, which takes root outside of a container",
)
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def new_folder() -> Path:
    """A folder that the cluster's user may pass into, which pytest's own is not when root runs the tests."""
    place = Path(tempfile.mkdtemp(prefix=f"hub-tests-{os.getpid()}-"))
    place.chmod(0o711)
    return place


@pytest.fixture
def folder() -> Iterator[Path]:
    place = new_folder()
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A home whose cluster was made and stopped once; tests copy it."""
    place = new_folder()
    with Cluster(place / "home"):
        pass
    yield place / "home"
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def home(made: Path, folder: Path) -> Path:
    """A stopped cluster of one's own."""
    subprocess.run(["cp", "-a", str(made), str(folder / "home")], check=True)
    return folder / "home"


def servers(home: Path) -> list[int]:
    """Every process that stands in the data folder, as the system sees it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == home / "data":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def eventually(condition: object, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def another_process(code: str, home: Path, **options: object) -> subprocess.Popen[str]:
    program = "import sys, time\nfrom pathlib import Path\nfrom hub.database.embedded import Cluster\n"
    program += f"cluster = Cluster(Path({str(home)!r}), print)\n" + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=PROJECT,
        **options,  # type: ignore[call-overload]
    )


# -- what it is --------------------------------------------------------------------------------------------------------


async def test_both_drivers_reach_it_in_both_roles(folder: Path) -> None:
    with Cluster(folder / "home") as cluster:
        cluster.create_database()
        with psycopg.connect(cluster.url(Cluster.OWNER)) as owner:
            owner.execute("create role hub_login login")
            owner.execute("create extension postgis")
        with psycopg.connect(cluster.url(Cluster.LOGIN)) as login:
            assert login.execute("select current_user").fetchone() == ("hub_login",)
        connection = await asyncpg.connect(cluster.url(Cluster.LOGIN))
        assert await connection.fetchval("select st_astext(st_point(34.75, -0.1))") == "POINT(34.75 -0.1)"
        await connection.close()


def test_it_is_durable_private_and_says_nothing_of_what_people_send(home: Path) -> None:
    with Cluster(home) as cluster, psycopg.connect(cluster.url(Cluster.OWNER, "postgres"), autocommit=True) as owner:
        assert owner.execute("show data_checksums").fetchone() == ("on",)
        collation = owner.execute("select datcollate from pg_database where datname = 'postgres'").fetchone()
        assert collation in {("C.UTF-8",), ("C",)}
        shown = {name.lower(): value for name, value, _ in owner.execute("show all").fetchall()}
        for name, value in SETTINGS.items():
            assert shown[name] == value.strip("'"), name
        owner.execute("create table people (phone text primary key)")
        owner.execute("insert into people values ('0700canary')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.execute("insert into people values (%s)", ("0700canary",))
        with pytest.raises(psycopg.errors.SyntaxError):
            owner.execute("select from from '0700canary'")

    def written() -> str:
        return "".join(file.read_text() for file in cluster.log.iterdir())

    # Its collector of logs writes when it finds the time: all of it is there once the server's last word is.
    assert eventually(lambda: "database system is shut down" in written())
    assert "duplicate key" in written()
    assert "syntax error" in written()
    assert "0700canary" not in written()
    for place in (home / "data", home / "run", home / "log"):
        assert place.stat().st_mode & 0o077 == 0


@needs_proc
def test_it_listens_on_no_network_address(home: Path) -> None:
    with Cluster(home) as cluster:
        assert cluster.process is not None
        own = set()
        for file in Path(f"/proc/{cluster.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # a server opens and closes files while one looks
                own.add(str(file.readlink()))
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                assert fields[3] != "0A" or f"socket:[{fields[9]}]" not in own


@needs_root
def test_another_user_of_the_machine_stays_outside(home: Path) -> None:
    psql = installations()[0].programs / "psql"
    with Cluster(home) as cluster:
        nobody = Account.of(pwd.getpwnam("nobody").pw_uid)
        assert "Permission denied" in nobody.run([psql, cluster.url(Cluster.OWNER)]).stderr
        # Even with the folder open the operating system's word decides, not a password.
        cluster.socket_folder().chmod(0o755)
        (cluster.socket_folder() / f".s.PGSQL.{PORT}").chmod(0o777)
        assert "Peer authentication failed" in nobody.run([psql, cluster.url(Cluster.OWNER)]).stderr


def test_the_second_start_keeps_what_the_first_wrote(folder: Path) -> None:
    with Cluster(folder / "home") as cluster:
        cluster.create_database()
        with psycopg.connect(cluster.url(Cluster.OWNER)) as owner:
            owner.execute("create table kept as select 7 as seven")
    began = time.monotonic()
    with Cluster(folder / "home") as cluster:
        assert time.monotonic() - began < 3 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        with psycopg.connect(cluster.url(Cluster.OWNER)) as owner:
            assert owner.execute("select seven from kept").fetchone() == (7,)


def test_databases_are_made_once_and_copied_from_templates(home: Path) -> None:
    with Cluster(home) as cluster:
        cluster.create_database()
        with psycopg.connect(cluster.url(Cluster.OWNER)) as owner:
            owner.execute("create table there as select 1 as one")
        cluster.create_database("copy", template="hub")
        cluster.create_database("copy", template="hub")
        with psycopg.connect(cluster.url(Cluster.OWNER, "copy")) as owner:
            assert owner.execute("select one from there").fetchone() == (1,)


def test_the_callers_postgres_variables_do_not_disturb(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGDATA": "/nowhere", "PGPORT": "1", "PGHOST": "nowhere", "PGOPTIONS": "-c nonsense=1"}.items():
        monkeypatch.setenv(name, value)
    with Cluster(home) as cluster, psycopg.connect(cluster.url(Cluster.OWNER, "postgres")) as owner:
        assert owner.execute("select 1").fetchone() == (1,)


# -- what a folder may be called ---------------------------------------------------------------------------------------


def test_a_path_too_long_for_a_socket_is_handled(folder: Path) -> None:
    longest = folder / ("x" * (SOCKET_LIMIT - len(os.fsencode(folder)) - len(f"//run/.s.PGSQL.{PORT}")))
    assert Cluster(longest).socket_folder() == longest / "run"
    longer = longest.with_name(longest.name + "x")
    with Cluster(longer) as cluster:
        place = cluster.socket_folder()
        assert not place.is_relative_to(longer)
        assert place.stat().st_mode & 0o077 == 0
        cluster.create_database()
        with psycopg.connect(cluster.url(Cluster.OWNER)) as owner:
            assert owner.execute("select 1").fetchone() == (1,)
    assert not place.exists()


async def test_a_path_with_odd_characters_is_handled(folder: Path) -> None:
    with Cluster(folder / 'Wanjikũ\'s, "100 %" @home') as cluster:
        cluster.create_database()
        connection = await asyncpg.connect(cluster.url(Cluster.OWNER))
        assert await connection.fetchval("select 1") == 1
        await connection.close()


def test_somebody_elses_socket_folder_is_refused(folder: Path) -> None:
    cluster = Cluster(folder / ("x" * 120))
    place = cluster.socket_folder()
    place.symlink_to("/tmp")
    try:
        with pytest.raises(ClusterFailed, match="Remove it, or set HUB_HOME to another folder with a shorter path"):
            cluster.start()
    finally:
        place.unlink()


# -- what a killed hub leaves ------------------------------------------------------------------------------------------


@needs_proc
def test_a_killed_hub_leaves_no_server(home: Path) -> None:
    with another_process("cluster.start(); print('up'); time.sleep(60)", home) as hub:
        assert hub.stdout is not None
        assert hub.stdout.readline() == "up\n"
        assert len(servers(home)) > 3
        hub.kill()
    assert eventually(lambda: not servers(home))
    with Cluster(home):
        assert servers(home)
    assert not servers(home)


@needs_proc
def test_an_interrupted_initdb_is_done_again(folder: Path) -> None:
    home = folder / "home"
    with another_process("cluster.start()", home) as hub:
        assert eventually(lambda: any(home.glob("data.partial-*/base")))
        hub.kill()
    assert not (home / "data").exists()
    said: list[str] = []
    with Cluster(home, said.append) as cluster:
        cluster.create_database()
    assert "A database was half made when something interrupted it: making it anew." in said
    assert not list(home.glob("data.partial-*"))


@needs_proc
def test_a_killed_server_and_its_stale_pid_file_are_cleared(home: Path) -> None:
    cluster = Cluster(home)
    cluster.start()
    assert cluster.process is not None
    for pid in servers(home):
        os.kill(pid, signal.SIGKILL)
    assert cluster.process.wait() == -signal.SIGKILL
    cluster.stop()
    assert (home / "data/postmaster.pid").exists()
    with Cluster(home):
        pass


@pytest.mark.parametrize("which", ["another program", "cut short", "empty"])
def test_a_pid_file_that_means_nothing_is_cleared(home: Path, which: str) -> None:
    account = Account.for_home(home)
    sleeper = subprocess.Popen(["sleep", "60"], **account.drop())  # type: ignore[call-overload]
    file = home / "data/postmaster.pid"
    number = {"another program": str(sleeper.pid), "cut short": "\0\0", "empty": ""}[which]
    file.write_text(f"{number}\n{home / 'data'}\n1790000000\n{PORT}\n" if number else "")
    lock = home / f"run/.s.PGSQL.{PORT}.lock"
    lock.write_text(file.read_text())
    for each in (file, lock):
        os.chown(each, account.uid, account.gid)
    try:
        with Cluster(home):
            pass
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


@needs_proc
def test_a_server_left_alive_is_stopped_first(home: Path) -> None:
    account = Account.for_home(home)
    left = subprocess.Popen(  # type: ignore[call-overload]
        [installations()[0].programs / "postgres", "-D", home / "data"], stderr=subprocess.DEVNULL, **account.drop()
    )
    assert eventually(lambda: Cluster(home)._is_ready(left.pid))
    said: list[str] = []
    with Cluster(home, said.append) as cluster:
        assert left.wait(5) == 0
        assert cluster.running()
    assert said == ["PostgreSQL was still running from a hub that was killed: stopping it first."]


@needs_proc
def test_a_backend_that_hangs_does_not_keep_the_hub_from_stopping(home: Path) -> None:
    cluster = Cluster(home)
    cluster.patience = (1, 1)
    cluster.start()
    with psycopg.connect(cluster.url(Cluster.OWNER, "postgres")) as owner:
        os.kill(owner.info.backend_pid, signal.SIGSTOP)
        cluster.stop()
    assert not servers(home)


def test_stopping_twice_or_without_a_start_is_nothing(home: Path) -> None:
    cluster = Cluster(home)
    cluster.stop()
    cluster.start()
    cluster.start()
    cluster.stop()
    cluster.stop()
    assert not cluster.running()


# -- what it refuses, and in which words -------------------------------------------------------------------------------


def test_a_second_hub_hears_of_the_first(home: Path) -> None:
    first = Cluster(home)
    first.lock("http://127.0.0.1:8000")
    with first:
        second = another_process("cluster.start()", home)
        told, _ = second.communicate()
        assert (
            f"Another hub is running from here (process {os.getpid()}, http://127.0.0.1:8000). "
            "Stop it, or set HUB_HOME and HUB_PORT." in told
        )
        assert first.running()


def test_a_cluster_of_another_major_version_is_named(home: Path) -> None:
    (home / "data/PG_VERSION").write_text("13\n")
    with pytest.raises(ClusterFailed, match=r"was made by PostgreSQL 13, but this machine has only \d+"):
        Cluster(home).start()


def test_a_folder_with_other_files_is_left_alone(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data/letters.txt").write_text("Dear county")
    with pytest.raises(ClusterFailed, match="holds files but no database"):
        Cluster(folder).start()
    assert (folder / "data/letters.txt").read_text() == "Dear county"


def test_a_folder_that_cannot_be_entered_is_named(folder: Path) -> None:
    folder.chmod(0o700 if ROOT else 0)
    refusal = "cannot enter|Permission denied"
    with pytest.raises(ClusterFailed, match=refusal) as caught:
        Cluster(folder / "home").start()
    assert "HUB_HOME" in str(caught.value)


@needs_proc
def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(ClusterFailed, match="Set HUB_HOME to a folder that you may write in"):
        Cluster(Path("/proc/hub")).start()


@needs_root
def test_somebody_elses_database_is_named(home: Path) -> None:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            Cluster(home).start()
        except ClusterFailed as refusal:
            os.write(theirs, str(refusal).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours) as answer:
        told = answer.read()
    assert f"The database in {home} belongs to postgres, and you are nobody." in told
    assert "or set HUB_HOME to a folder of your own" in told


@needs_mounts
@needs_proc
@pytest.mark.parametrize(
    ("hidden", "sentence"),
    [
        ("/usr/lib/postgresql", r"PostgreSQL 15 to 18 is not installed.*make up.*apt-get install postgresql-postgis"),
        ("/usr/share/postgresql/*/extension", r"PostGIS for it is not.*apt-get install postgresql-\d+-postgis-3"),
    ],
)
def test_a_missing_package_is_named(folder: Path, hidden: str, sentence: str) -> None:
    # In a mount namespace of its own, where the packages really are not there.
    program = (
        f"from pathlib import Path\nfrom hub.database.embedded import Cluster\nCluster(Path({str(folder)!r})).start()"
    )
    script = f'for place in {hidden}; do mount -t tmpfs none "$place"; done; exec "$0" -c "$1"'
    told = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, program],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=False,
    ).stderr
    assert re.search(sentence, told), told


@needs_mounts
@needs_proc
def test_a_full_disk_is_named(folder: Path) -> None:
    small, tight = folder / "small", folder / "tight"
    for place, size in ((small, "20m"), (tight, "320m")):
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "none", str(place)], check=True)
    try:
        with pytest.raises(ClusterFailed, match=r"Only \d+ MB are free at .*; a new database needs 300"):
            Cluster(small).start()
        with Cluster(tight):
            pass
        with suppress(OSError), (tight / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        with pytest.raises(ClusterFailed, match="The disk is full: free some space"):
            Cluster(tight).start()
        (tight / "ballast").unlink()
        with Cluster(tight):
            pass
    finally:
        for place in (small, tight):
            subprocess.run(["umount", str(place)], check=True)


# -- where it lives ----------------------------------------------------------------------------------------------------


def where(checkout: Path, **environment: str) -> list[str]:
    """What a hub in another checkout says and chooses; the package is really there."""
    shutil.copytree(
        PROJECT / "hub", checkout / "hub", ignore=shutil.ignore_patterns("vendor", "__pycache__"), dirs_exist_ok=True
    )
    program = "from hub.database.embedded import home_for; from hub.settings import Database; "
    program += "print(home_for(Database(), print))"
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), **environment},
        check=True,
    ).stdout.splitlines()


def test_home_is_where_the_setting_says(folder: Path) -> None:
    assert home_for(Database(home=folder / "elsewhere")) == folder / "elsewhere"


def test_home_is_in_a_checkout_that_can_be_entered(folder: Path) -> None:
    assert where(folder, HUB_HOME="") == [str(folder / ".hub")]


@needs_root
def test_home_is_a_systems_folder_for_a_clone_under_a_private_home(folder: Path) -> None:
    folder.chmod(0o700)
    said, chosen = where(folder / "clone", HUB_HOME="")
    assert chosen.startswith("/var/lib/kisumu-hub/")
    assert said == (f"The database goes to {chosen}: the user postgres, who runs it, cannot enter {folder / 'clone'}.")
    # Data that is there stays in use, whatever became of the permissions.
    (folder / "clone/.hub/data").mkdir(parents=True)
    assert where(folder / "clone", HUB_HOME="") == [str(folder / "clone/.hub")]
