"""The hub's own PostGIS: a private cluster in a folder, run as a child of the hub and reached by a socket only.

Nobody sets up a server, nobody chooses a password: the operating system says who is asking (`peer`), and only the
hub's user, the cluster's user and root are on the list.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import logging
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from hub.database.installations import ClusterFailed, Installation, fitting
from hub.settings import PROJECT, Database

PORT = 7432
"""Only the name of a socket in a folder of our own: it never meets another server's port."""

DEMONSTRATION = "hub_demonstration"
"""The database of made-up data, beside the county's own, which is `hub`: see hub/demonstration/seeding.py."""

SOCKET_LIMIT = 107 if sys.platform == "linux" else 103
"""Longest path of a socket, in bytes, without the closing NUL."""

NEEDS_FREE = 300 * 1024 * 1024
"""A new cluster takes 65 MB; below this there is no room left to work in."""

SETTINGS = {
    "listen_addresses": "''",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "cluster_name": "'kisumu-hub'",
    # What is acknowledged is on the disk.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "data_sync_retry": "off",
    # Nodes and backups read the log later; to change this then would need a restart.
    "wal_level": "logical",
    "wal_buffers": "'16MB'",
    # A receiver that died must not fill the disk.
    "max_slot_wal_keep_size": "'2GB'",
    "max_connections": "120",
    "shared_buffers": "'128MB'",
    "work_mem": "'8MB'",
    "random_page_cost": "1.1",
    # Our statements are short: compiling them costs more than running them.
    "jit": "off",
    "idle_in_transaction_session_timeout": "'30s'",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    # One file a weekday, overwritten after a week.
    "logging_collector": "on",
    "log_directory": "'../log'",
    "log_filename": "'postgres-%a.log'",
    "log_file_mode": "0600",
    "log_rotation_age": "'1d'",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_checkpoints": "off",
    "log_line_prefix": "'%m [%p] '",
    # The log holds no value that a person sent: no parameters, no statements, no `Key (phone)=(…)` details.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

README = """This folder holds the database of the Kisumu hub (checkout: {project}).
`data` is a PostgreSQL cluster: never edit or delete files in it. `log` says what PostgreSQL did.
`hub` starts and stops it; hub/docs/running.md in the checkout says more.
"""

Say = Callable[[str], None]


def _log(sentence: str) -> None:
    logging.getLogger(__name__).info(sentence)


# -- whose cluster, and where ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """The operating system's user that the cluster's processes run as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def of(cls, uid: int) -> Account:
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            raise ClusterFailed(
                f"This system knows no user with the number {uid}, and PostgreSQL needs one by name. "
                "Run the hub as a user who is in /etc/passwd, or use a database of your own with HUB_DATABASE_URL."
            ) from None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    @classmethod
    def for_home(cls, home: Path) -> Account:
        """Oneself; for root, who must not run PostgreSQL, the owner of what is there, else Debian's `postgres`."""
        if os.geteuid() != 0:
            return cls.of(os.geteuid())
        with suppress(OSError):
            owner = (home / "data").stat().st_uid
            if owner != 0:
                return cls.of(owner)
        return cls.unprivileged()

    @classmethod
    def unprivileged(cls) -> Account:
        for name in ("postgres", "_postgres"):
            with suppress(KeyError):
                return cls.of(pwd.getpwnam(name).pw_uid)
        raise ClusterFailed(
            "PostgreSQL refuses to run as root, and there is no user `postgres` to run it as. "
            "Run the hub as an ordinary user, or make one: useradd --system --user-group postgres"
        )

    def run(self, command: list[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
        """One short program as this user, in the clean environment."""
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            **self.drop(),
            **options,  # type: ignore[call-overload]
        )

    def drop(self) -> dict[str, object]:
        """How a child becomes this user and forgets the caller's environment, for `subprocess`."""
        # The caller's PGDATA, PROJ_DATA, LD_LIBRARY_PATH and secrets are none of the cluster's business; its folder
        # may be one that this user cannot enter.
        options: dict[str, object] = {
            "cwd": "/",
            "env": {"PATH": os.defpath, "LC_ALL": "C", "HOME": "/"},
            "stdin": subprocess.DEVNULL,
        }
        if self.uid != os.geteuid():
            options |= {"user": self.uid, "group": self.gid, "extra_groups": os.getgrouplist(self.name, self.gid)}
        return options

    def can_enter(self, folder: Path) -> bool:
        """Whether this user may pass into `folder`, or would if it were made where it is missing."""
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return self.run(["test", "-x", str(folder)]).returncode == 0


def home_for(settings: Database, say: Say = _log) -> Path:
    """Where this checkout's cluster lives: HUB_HOME, `.hub` in the checkout, or a folder of the system."""
    if settings.home is not None:
        return settings.home.expanduser().resolve()
    beside = PROJECT / ".hub"
    short = hashlib.sha256(os.fsencode(PROJECT)).hexdigest()[:8]
    if os.geteuid() == 0:
        away = Path("/var/lib/kisumu-hub") / short
    else:
        state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        away = Path(state).expanduser() / "kisumu-hub" / short
    # Where the data is, it stays: a change of permissions must never look like a loss of the county.
    for place in (beside, away):
        if (place / "data").exists():
            return place
    account = Account.for_home(beside)
    if account.uid != os.geteuid():
        if account.can_enter(PROJECT):
            return beside
        say(f"The database goes to {away}: the user {account.name}, who runs it, cannot enter {PROJECT}.")
        return away
    if os.access(PROJECT, os.W_OK | os.X_OK):
        return beside
    say(f"The database goes to {away}: {account.name} may not write in {PROJECT}.")
    return away


def forget_environment() -> None:
    """Drop the caller's PG… variables: libpq and asyncpg obey some of them (PGOPTIONS, PGSERVICE) beside a full URL."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


# -- the cluster -------------------------------------------------------------------------------------------------------


class Cluster:
    """A private PostGIS cluster in a folder of the hub's own."""

    OWNER = "hub_admin"
    LOGIN = "hub_login"
    patience = (15, 10)
    """Seconds that a fast and then an immediate shutdown may take before the server is killed."""

    def __init__(self, home: Path, say: Say = _log) -> None:
        self.home = home.resolve()
        self.data = self.home / "data"
        self.log = self.home / "log"
        self.process: subprocess.Popen[bytes] | None = None
        """The server, and while the cluster is made, initdb: SIGINT ends either properly."""
        self._say = say
        self._lock: int | None = None
        self._launched = False

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- for those who connect

    def url(self, role: str, database: str = "hub") -> str:
        """`postgresql://…` for libpq, psycopg and asyncpg alike. Answers without the cluster running, too."""
        place = quote(str(self.socket_folder()), safe="")
        return f"postgresql://{quote(role, safe='')}@/{quote(database, safe='')}?host={place}&port={PORT}"

    def socket_folder(self) -> Path:
        """`run` in the home; a short private folder where that path is too long or odd for a socket."""
        folder = self.home / "run"
        name = os.fsencode(folder / f".s.PGSQL.{PORT}")
        # A comma separates hosts in a URL and folders in the server's settings.
        if len(name) <= SOCKET_LIMIT and not re.search(rb"[,\"'%@\\\s]", name):
            return folder
        short = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        if os.geteuid() == 0 and Path("/run").is_dir():
            return Path("/run") / f"kisumu-hub-{short}"
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        inside = Path(runtime) / f"kisumu-hub-{short}"
        if runtime and os.access(runtime, os.W_OK) and len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= SOCKET_LIMIT:
            return inside
        return Path("/tmp") / f"kisumu-hub-{os.geteuid()}-{short}"  # noqa: S108  its owner and mode are checked

    def create_database(self, name: str = "hub", template: str | None = None) -> None:
        """Make the database if it is missing, as a copy of `template` when one is named."""
        import psycopg
        from psycopg import errors, sql

        with psycopg.connect(self.url(self.OWNER, "postgres"), autocommit=True) as connection:
            if connection.execute("select from pg_database where datname = %s", (name,)).fetchone() is not None:
                return
            statement = sql.SQL("create database {}").format(sql.Identifier(name))
            if template is not None:
                statement += sql.SQL(" template {}").format(sql.Identifier(template))
            # Another process may have been quicker: what was wanted is there then. (`UniqueViolation` is how
            # PostgreSQL says so when both were at it at the same instant.)
            with suppress(errors.DuplicateDatabase, errors.UniqueViolation):
                connection.execute(statement)

    def has_database(self, name: str) -> bool:
        """Whether a database of this name is there."""
        import psycopg

        with psycopg.connect(self.url(self.OWNER, "postgres"), autocommit=True) as connection:
            return connection.execute("select from pg_database where datname = %s", (name,)).fetchone() is not None

    def opens(self, settings: Database) -> str:
        """Which database the hub opens: the demonstration, for as long as it is there and wanted."""
        return DEMONSTRATION if settings.demonstration and self.has_database(DEMONSTRATION) else "hub"

    def drop_database(self, name: str) -> None:
        """Remove a database and everything in it, whoever is connected to it. One that is missing is no mistake."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.url(self.OWNER, "postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def running(self) -> bool:
        """Whether a server of this home is up, whoever started it."""
        return bool(list(self._servers()))

    def last_lines(self, count: int = 12) -> str:
        """The end of what PostgreSQL wrote, for a person who must find out why it died."""
        files = sorted(self.log.glob("*.log"), key=lambda file: file.stat().st_mtime)
        lines: list[str] = []
        for file in files[-2:]:
            lines += file.read_text(errors="replace").splitlines()[-count:]
        return "\n".join(lines[-count:])

    # -- start

    def lock(self, address: str = "") -> None:
        """Claim the home for this process; `address` tells a second hub where the first one answers."""
        if self._lock is None:
            with self._explained():
                self._check_way(Account.for_home(self.home))
                self._make_home()
                file = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(file, 1000, 0).decode(errors="replace").split()
                os.close(file)
                raise ClusterFailed(_another(holder)) from None
            self._lock = file
        with suppress(OSError):  # on a full disk the lock holds all the same, only its text is missing
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()} {address}\n".encode(), 0)

    def start(self) -> None:
        """Bring the cluster up from whatever state its folder is in. From a thread that lives as long as it should run.

        (Linux ends the server when the thread that started it ends: so that a killed hub leaves none behind.)
        """
        if self.process is not None and self.process.poll() is None:
            return
        forget_environment()
        if self._lock is None:
            self.lock()
        try:
            with self._explained():
                account = Account.for_home(self.home)
                installation = fitting(self.major(), self.data)
                self._make_folders(account)
                if self.major() is None:
                    self._initialise(installation, account)
                self._configure(account)
                self._clear_remains()
                self._launch(installation, account)
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def _check_way(self, account: Account) -> None:
        if account.uid != os.geteuid() and not account.can_enter(self.home):
            raise ClusterFailed(
                f"The user {account.name}, who runs the database, cannot enter {self.home}. "
                "Set HUB_HOME to a folder that every user may pass into, such as /var/lib/kisumu-hub."
            )
        try:
            if self.major() is None:
                return
        except PermissionError:
            pass  # somebody's cluster, then: they alone may look into it
        owner = self.data.stat().st_uid
        if owner == account.uid:
            return
        if os.geteuid() == 0:
            raise ClusterFailed(
                f"The database in {self.data} belongs to root, who must not run PostgreSQL. "
                f"Give it back: chown -R {account.name}: {self.data}"
            )
        raise ClusterFailed(
            f"The database in {self.home} belongs to {_name_of(owner)}, and you are {account.name}. "
            f"Start the hub as {_name_of(owner)} or with sudo, or set HUB_HOME to a folder of your own."
        )

    def _make_home(self) -> None:
        if not self.home.exists():
            self.home.mkdir(parents=True)
            # Whatever the umask says: the cluster's user must pass through, and needs to read nothing here.
            self.home.chmod(0o711)
            (self.home / "README").write_text(README.format(project=PROJECT))

    def _make_folders(self, account: Account) -> None:
        for folder in (self.log, self.socket_folder()):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                give(folder, account)
            self._check_private(folder, account)

    def _check_private(self, folder: Path, account: Account) -> None:
        """A folder that someone else made or may enter (in /tmp anyone can) must not hold our socket."""
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 == os.geteuid():
            give(folder, account)  # ours, from a start that was interrupted between making it and giving it away
        elif not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
            raise ClusterFailed(
                f"{folder} belongs to {_name_of(found.st_uid)}, not to {account.name}. "
                "Remove it, or set HUB_HOME to another folder with a shorter path."
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)

    def major(self) -> int | None:
        """Major version of the cluster that is there, or None. A `data` folder is always a whole one."""
        try:
            return int((self.data / "PG_VERSION").read_text())
        except FileNotFoundError:
            if self.data.exists() and any(self.data.iterdir()):
                raise ClusterFailed(
                    f"{self.data} holds files but no database. Move it away, or set HUB_HOME to another folder."
                ) from None
            return None

    def _initialise(self, installation: Installation, account: Account) -> None:
        free = shutil.disk_usage(self.home).free
        if free < NEEDS_FREE:
            raise ClusterFailed(
                f"Only {free // 1024**2} MB are free at {self.home}; a new database needs {NEEDS_FREE // 1024**2}. "
                "Free some space, or set HUB_HOME to a folder on another disk."
            )
        # Made under another name and renamed at the end: an interrupted initdb never looks like a cluster.
        for left in self.home.glob("data.partial-*"):
            self._say("A database was half made when something interrupted it: making it anew.")
            shutil.rmtree(left, ignore_errors=True)
        partial = self.home / f"data.partial-{os.getpid()}"
        self._say(f"Making a private PostgreSQL {installation.major} cluster in {self.home} …")
        partial.mkdir(mode=0o700)
        give(partial, account)
        # Plain code points on every system: no library update can change an order that an index relies on.
        locale = ["--locale=C.UTF-8"] if sys.platform == "linux" else ["--locale=C", "--lc-ctype=UTF-8"]
        command = [
            installation.programs / "initdb",
            f"--pgdata={partial}",
            f"--username={self.OWNER}",
            "--auth=peer",
            "--data-checksums",
            "--encoding=UTF8",
            *locale,
            "--lc-messages=C",
        ]
        self.process = subprocess.Popen(  # type: ignore[call-overload]
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),
            **account.drop(),
        )
        told = self.process.communicate()[0].decode(errors="replace")
        if self.process.returncode != 0:
            reason = " ".join(told.strip().splitlines()[-3:])
            shutil.rmtree(partial, ignore_errors=True)
            raise ClusterFailed(f"PostgreSQL could not make its cluster in {self.home}: {reason}{_way_out(reason)}")
        self.process = None
        with (partial / "postgresql.conf").open("a") as conf:
            conf.write(
                "\n# The hub's settings, written anew at each start. Your own go below this line.\ninclude 'hub.conf'\n"
            )
        partial.rename(self.data)
        # The children of a killed initdb outlive it for a moment, and may have written behind the broom's back.
        for left in self.home.glob("data.partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        _sync(self.home)

    def _configure(self, account: Account) -> None:
        settings = SETTINGS | {"unix_socket_directories": f"'{self.socket_folder()}'"}
        self._write("hub.conf", "".join(f"{name} = {value}\n" for name, value in settings.items()), account)
        self._write(
            "pg_hba.conf",
            "# Written by the hub at each start. The operating system says who is asking; there are no passwords.\n"
            "local all all peer map=hub\nlocal replication all peer map=hub\n",
            account,
        )
        # Root could become any of them anyway; the hub's user and the cluster's user are one where nobody is root.
        people = dict.fromkeys(["root", account.name, _name_of(os.geteuid())])
        lines = (f'hub "{person}" {role}\n' for person in people for role in (self.OWNER, self.LOGIN))
        self._write("pg_ident.conf", "".join(lines), account)

    def _write(self, name: str, text: str, account: Account) -> None:
        file = self.data / name
        with suppress(FileNotFoundError):
            if file.read_text() == text:
                return
        fresh = file.with_suffix(".fresh")
        with fresh.open("w") as writer:
            writer.write(text)
            writer.flush()
            os.fsync(writer.fileno())
        fresh.chmod(0o600)
        give(fresh, account)
        fresh.rename(file)

    def _clear_remains(self) -> None:
        """What a killed hub or a power cut left behind: a live server, its orphans, a stale pid file."""
        left = list(self._servers())
        if left:
            self._say("PostgreSQL was still running from a hub that was killed: stopping it first.")
            _end(left, lambda: list(self._servers()))
        for pid_file in (self.data / "postmaster.pid", self.socket_folder() / f".s.PGSQL.{PORT}.lock"):
            with suppress(FileNotFoundError):
                first, *rest = pid_file.read_text().splitlines() or [""]
                if not first.strip("-").isdigit():
                    # Cut short by a power failure: PostgreSQL would refuse it, and it says nothing worth keeping.
                    pid_file.unlink()
                elif _alive(abs(int(first))):
                    # That number is another program's by now, and PostgreSQL would take it for a server of ours.
                    # The file stays, because it names the shared memory that PostgreSQL checks for orphans; it
                    # only gets our own number, which PostgreSQL never takes for a rival: it is its parent's.
                    pid_file.write_text("\n".join([str(os.getpid()), *rest, ""]))

    def _servers(self) -> Iterator[int]:
        """Processes that work in this data folder: the postmaster and, should it have died, its orphans."""
        if sys.platform == "linux":
            with suppress(OSError):
                place = self.data.stat()
                yield from self._standing_in((place.st_dev, place.st_ino))
            return
        with suppress(OSError, ValueError, IndexError):
            number = int((self.data / "postmaster.pid").read_text().split()[0])
            shown = subprocess.run(
                ["ps", "-o", "command=", "-p", str(number)], capture_output=True, text=True, check=False
            ).stdout
            if str(self.data) in shown:
                yield number

    @staticmethod
    def _standing_in(place: tuple[int, int]) -> Iterator[int]:
        """Every PostgreSQL process stands in its data folder, by whatever path that is called where it was started."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):  # others are gone, or not ours to look at
                    stands = (entry / "cwd").stat()
                    if (stands.st_dev, stands.st_ino) == place and (entry / "comm").read_text()[:8] == "postgres":
                        yield int(entry.name)

    def _launch(self, installation: Installation, account: Account) -> None:
        with (self.log / "start.log").open("wb") as output:
            give(self.log / "start.log", account)
            self._launched = True
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                [installation.programs / "postgres", "-D", self.data],
                stdout=output,
                stderr=subprocess.STDOUT,
                # Out of the terminal's reach: Ctrl-C goes to the hub, which first lets its requests end.
                start_new_session=True,
                preexec_fn=die_with_parent(),
                **account.drop(),
            )

    def _await_ready(self) -> None:
        assert self.process is not None
        said = time.monotonic()
        while not self._is_ready(self.process.pid):
            if self.process.poll() is not None:
                reason = self.last_lines()
                if shutil.disk_usage(self.home).free < 1024**2:
                    reason += "\nNo space left on the device."  # which PostgreSQL could not even write down
                raise ClusterFailed(f"PostgreSQL did not start:\n{reason}\n{_way_out(reason).strip()}".rstrip())
            if time.monotonic() - said > 5:
                self._say("PostgreSQL is still starting (after a crash it first goes through its log) …")
                said = time.monotonic()
            time.sleep(0.02)

    def _is_ready(self, pid: int) -> bool:
        """The pid file's eighth line is PostgreSQL's own word for it: no connection needs to be tried."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    # -- stop

    def stop(self) -> None:
        """Fast shutdown, then harder; does nothing where nothing runs."""
        process, self.process = self.process, None
        if process is not None:
            fast, immediate = self.patience
            for number, patience in ((signal.SIGINT, fast), (signal.SIGQUIT, immediate), (signal.SIGKILL, 10)):
                if process.poll() is not None:
                    break
                process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
        if self._launched:
            self._launched = False
            # A backend that ignores its postmaster's end (stuck in a geometry) would hold the memory; and a signal may
            # have come between the birth of the server and our note of it.
            if remains := list(self._servers()):
                _end(remains, lambda: list(self._servers()), (signal.SIGKILL,))
            if (folder := self.socket_folder()).parent != self.home:
                with suppress(OSError):
                    folder.rmdir()
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """The operating system's refusals as sentences with a way out."""
        try:
            yield
        except OSError as error:
            where = error.filename or self.home
            raise ClusterFailed(f"{error.strerror or error} at {where}.{_way_out(str(error))}") from error


# -- small print -------------------------------------------------------------------------------------------------------


def _another(holder: list[str]) -> str:
    who = f" (process {holder[0]}{', ' + holder[1] if len(holder) > 1 else ''})" if holder else ""
    return f"Another hub is running from here{who}. Stop it, or set HUB_HOME and HUB_PORT."


def _way_out(reason: str) -> str:
    if "No space left" in reason or "Disk quota" in reason:
        return " The disk is full: free some space, or set HUB_HOME to a folder on another disk."
    if any(
        word in reason
        for word in ("Permission denied", "Read-only", "not permitted", "No such file", "Not a directory")
    ):
        return " Set HUB_HOME to a folder that you may write in."
    if "shared memory" in reason:
        return " The system's shared memory is too small: enlarge /dev/shm or the kernel's limits."
    return ""


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def give(path: Path, account: Account) -> None:
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _end(
    pids: list[int],
    still: Callable[[], list[int]],
    signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),
) -> None:
    """Stop processes that are not children: each signal gets ten seconds."""
    for number in signals:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + 10
        while pids := still():
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return
    raise ClusterFailed(
        f"PostgreSQL's processes {', '.join(map(str, pids))} do not end, not even when killed: "
        "the disk may hang. Restart the machine."
    )


def die_with_parent() -> Callable[[], None] | None:
    """On Linux the kernel itself stops the server when the hub is killed; other systems clear up at the next start."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()
    set_parent_death_signal = 1

    def arrange() -> None:
        # Runs in the child after it changed its user, because that change would clear the arrangement.
        libc.prctl(set_parent_death_signal, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
