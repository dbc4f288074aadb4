"""`GET /metrics`: the figures in Prometheus' text format, for whoever operates the hub and for nobody else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.settings import Settings
from hub.watch.figures import Figures
from hub.watch.rounds import Rounds

PROXIED: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip")
"""Headers by which a proxy says that it asks for somebody else, who is not on this machine."""


class _Told:
    """What was found, as a collector."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from self._found


async def metrics(request: Request) -> Response:
    """GET /metrics."""
    refusal = _refusal(request)
    if refusal is not None:
        return refusal
    rounds: Rounds = request.app.state.rounds
    rounds.look_here()
    found = await rounds.of_the_database()
    body = await asyncio.to_thread(_written, found)
    return Response(body, headers={"cache-control": "no-store", "content-type": CONTENT_TYPE_PLAIN_0_0_4})


def _written(found: list[Metric]) -> bytes:
    registry = CollectorRegistry()
    registry.register(Figures())
    registry.register(_Told(found))
    return generate_latest(registry)


def _refusal(request: Request) -> Response | None:
    """Who has the token; where none is set, whoever asks on this very machine and not through a proxy."""
    settings: Settings = request.app.state.settings
    token = settings.server.metrics_token
    if token is not None:
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and secrets.compare_digest(shown.strip().encode(), token.encode()):
            return None
        return _refused(401, "UNAUTHENTICATED", "Show the token of HUB_METRICS_TOKEN.", {"www-authenticate": "Bearer"})
    if _is_here(request.client.host if request.client else "") and _names_here(request) and not _is_proxied(request):
        return None
    return _refused(403, "FORBIDDEN", "Figures are shown on the hub's own machine, or by HUB_METRICS_TOKEN.")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names_here(request: Request) -> bool:
    """A proxy on this machine comes from loopback too, but hands on the name that its own client asked for."""
    return _is_here((request.url.hostname or "").strip("[]"))


def _is_proxied(request: Request) -> bool:
    return any(name in request.headers for name in PROXIED)


def _refused(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    told = {"message": message, "extensions": {"code": code}}
    return JSONResponse({"errors": [told]}, status, {"cache-control": "no-store", **(headers or {})})
