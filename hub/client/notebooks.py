"""Opens the notebooks against a running hub, signed in: `make notebooks`, or `python -m hub.client.notebooks`.

Of a demonstration one looks on as a planner without a password; elsewhere name and password are asked for here, and the
notebooks get a token that ends by itself. JupyterLab listens on loopback only.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

import httpx

from hub.client.hub import Hub
from schema.errors import HubError, Unauthenticated

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
COOKIE = "__Host-hub"


def token_for(url: str, role: str) -> str | None:
    """A token of a demonstration's account; None where there is none, because the county works there."""
    with httpx.Client(base_url=url, timeout=20) as http:
        if http.get("/demonstration").json().get("demonstration") is None:
            return None
        answer = http.post("/demonstration/sign-in", json={"role": role}, headers={"x-hub": "1"})
        return answer.cookies.get(COOKIE) or answer.headers["set-cookie"].partition("=")[2].partition(";")[0]


def asked(url: str) -> str:
    """A token for whoever types a name and a password; an empty name asks as the public."""
    while name := input("Name (empty: as the public): ").strip():
        try:
            with Hub.sign_in(url, name, getpass.getpass("Password: ")) as hub:
                return hub.asynchronous._asking.token or ""
        except Unauthenticated as error:
            sys.stderr.write(f"{error}\n")
    return ""


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--url", default="http://127.0.0.1:8000", help="The hub's address.")
    told.add_argument("--role", default="enforcement_supervisor", help="As whom to look on in a demonstration.")
    given = told.parse_args()
    url = given.url.rstrip("/")
    try:
        token = token_for(url, given.role)
    except (httpx.HTTPError, ValueError):
        raise SystemExit(f"{url} does not answer as a hub: start it with `make up`, or say --url.") from None
    try:
        token = asked(url) if token is None else token
    except HubError as error:
        raise SystemExit(str(error)) from None
    os.environ |= {"HUB_URL": url, "HUB_TOKEN": token}
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # It asks nobody outside for news of itself.
    quiet = ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    lab = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={FOLDER}", "--ServerApp.ip=127.0.0.1"]
    os.execv(sys.executable, [*lab, *quiet, *root])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
