"""The paths where trackers send: `/intake/osmand`, `/intake/owntracks`, `/intake/batch`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.intake import batch, osmand, owntracks
from hub.intake.fixes import Fix, Unfit
from hub.intake.taking import Taking, Verdict
from hub.watch import figures
from schema.errors import RateLimited, Unavailable

log = logging.getLogger(__name__)

MOST_BODY = 16 * 1024
"""Bytes of a request that holds one fix."""

BODY_SECONDS = 30.0
BATCH_SECONDS = 300.0

UNKNOWN = "The key is unknown, or was revoked."


def routes() -> list[BaseRoute]:
    return [
        Route("/intake/osmand", take_osmand, methods=["GET", "POST"]),
        Route("/intake/owntracks", take_owntracks, methods=["POST"]),
        Route("/intake/batch", take_batch, methods=["POST"]),
    ]


async def take_osmand(request: Request) -> Response:
    """A fix of Traccar Client or OsmAnd: query, form or JSON."""
    return _counted(await _osmand(request))


async def take_owntracks(request: Request) -> Response:
    """A message of OwnTracks in HTTP mode."""
    return _counted(await _owntracks(request))


def _counted(answer: Response) -> Response:
    if answer.status_code >= 400:
        figures.count(figures.FIXES, "refused")
    return answer


async def _osmand(request: Request) -> Response:
    is_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    try:
        body = await _body(request) if request.method == "POST" else b""
        if is_json and body:
            key, fix = osmand.from_json(body)
        else:
            is_json = False
            text = body.decode("ascii") if body else request.url.query
            key, fix = osmand.from_form(text)
    except UnicodeDecodeError:
        return _refused(400, "body: a form is expected")
    except (Unfit, batch.TooLarge) as error:
        return _refused(400 if isinstance(error, Unfit) else 413, str(error))
    return await _one(request, key, fix, 404 if is_json else 400, Response(status_code=200))


async def _owntracks(request: Request) -> Response:
    key = _basic(request)
    if key is None:
        return _refused(401, "Send the device's key as the password.", {"www-authenticate": 'Basic realm="hub"'})
    try:
        fix = owntracks.from_json(await _body(request))
    except (Unfit, batch.TooLarge) as error:
        return _refused(400 if isinstance(error, Unfit) else 413, str(error))
    return await _one(request, key, fix, 401, JSONResponse([]))


async def _one(request: Request, key: str, fix: Fix | None, unknown: int, taken: Response) -> Response:
    taking: Taking = request.app.state.taking
    try:
        device = (await taking.devices.by_keys([key]))[key]
        if device is None:
            return _refused(unknown, UNKNOWN)
        if fix is not None:
            taking.devices.hold_back(device, 1)
            await taking.take([device], [fix])
    except Exception as error:  # noqa: BLE001 - sorted into answers there
        return _failed(error)
    return taken


async def take_batch(request: Request) -> Response:
    """Many fixes: NDJSON or a GeoJSON FeatureCollection, with the key as a bearer token."""
    taking: Taking = request.app.state.taking
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    own = shown.strip() if scheme.lower() == "bearer" and shown.strip() else None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if kind not in ("application/x-ndjson", "application/geo+json"):
        return _refused(415, "Send application/x-ndjson or application/geo+json.")
    if encoding not in ("identity", "gzip"):
        return _refused(415, "content-encoding: gzip or none is taken, and only once.")
    sent = _Sent()
    try:
        async with asyncio.timeout(BATCH_SECONDS):
            pieces = batch.inflated(request.stream(), gzip=encoding == "gzip", most=taking.settings.max_batch_bytes)
            await sent.read(kind, pieces, taking.settings.max_batch_rows)
    except TimeoutError:
        return _refused(408, "The batch came too slowly.", {"connection": "close"})
    except ClientDisconnect:
        return _refused(400, "The request ended before its body did.")
    except batch.TooLarge as error:
        return _refused(413, f"{error}; nothing of it was stored.", {"connection": "close"})
    except Unfit as error:
        return _refused(400, f"{error}; nothing of it was stored.")
    try:
        return await _taken(taking, own, sent)
    except Exception as error:  # noqa: BLE001 - sorted into answers there
        return _failed(error)


class _Sent:
    """The rows of a batch as they were sent. Lists beside each other: a tuple for each would cost
    more than reading it."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.keys: list[str | None] = []
        self.fixes: list[Fix] = []
        self.refused: list[dict[str, Any]] = []

    async def read(self, kind: str, pieces: AsyncIterator[bytes], most: int) -> None:
        """All rows, as they come. Raises TooLarge for more than `most`, and Unfit for what has no rows."""
        if kind == "application/geo+json":
            body = bytearray()
            async for piece in pieces:
                body += piece
            self._take(batch.from_features(bytes(body)), most)
            return
        async for lines in batch.lines(pieces):
            self._take(((number, _row(line)) for number, line in lines), most)

    def _take(self, rows: Iterable[tuple[int, tuple[str | None, Fix] | Unfit]], most: int) -> None:
        for number, made in rows:
            if len(self.fixes) + len(self.refused) == most:
                raise batch.TooLarge(f"the batch has over {most:,} rows: send several")
            if isinstance(made, Unfit):
                self.refuse(number, made.field, str(made))
                continue
            key, fix = made
            self.numbers.append(number)
            self.keys.append(key)
            self.fixes.append(fix)

    def refuse(self, number: int, field: str, message: str) -> None:
        self.refused.append({"row": number, "field": field, "message": message})


def _row(line: bytes) -> tuple[str | None, Fix] | Unfit:
    try:
        return batch.from_line(line)
    except Unfit as error:
        return error


async def _taken(taking: Taking, own: str | None, sent: _Sent) -> Response:
    known = await taking.devices.by_keys({own or "", *(key for key in sent.keys if key is not None)})
    if own is not None and known[own] is None:
        return _refused(401, UNKNOWN, {"www-authenticate": "Bearer"})
    if own is None and not any(known.get(key or "") for key in sent.keys):
        return _refused(401, "Send the device's key as a bearer token, or each row's as `key`.")
    found = [known[own or ""] if key is None else known[key] for key in sent.keys]
    numbers, devices, fixes = sent.numbers, [device for device in found if device is not None], sent.fixes
    if len(devices) < len(found):
        for number, device in zip(numbers, found, strict=True):
            if device is None:
                sent.refuse(number, "key", f"key: {UNKNOWN}")
        numbers = [number for number, device in zip(numbers, found, strict=True) if device is not None]
        fixes = [fix for fix, device in zip(fixes, found, strict=True) if device is not None]
    figures.count(figures.FIXES, "refused", by=len(sent.refused))
    for device, count in Counter(devices).items():
        taking.devices.hold_back(device, count)
    verdicts = await taking.take(devices, fixes) if fixes else []
    stored, duplicates = verdicts.count(Verdict.STORED), verdicts.count(Verdict.DUPLICATE)
    aside = [
        {"row": number, "reason": verdict.value.upper()}
        for number, verdict in zip(numbers, verdicts, strict=True)
        if verdict is not Verdict.STORED and verdict is not Verdict.DUPLICATE
    ]
    return JSONResponse(
        {
            "stored": stored,
            "duplicates": duplicates,
            "quarantined": aside,
            "refused": sorted(sent.refused, key=lambda each: each["row"]),
        },
        headers={"cache-control": "no-store"},
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BODY:
                    raise batch.TooLarge(f"the body is over {MOST_BODY:,} bytes")
    except (TimeoutError, ClientDisconnect):
        raise Unfit("body", "it did not come in time") from None
    return bytes(body)


def _basic(request: Request) -> str | None:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(shown, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password if name is not None and colon and password else None


def _failed(error: Exception) -> Response:
    """Not stored, or nobody knows: the sender keeps it and sends it again."""
    if isinstance(error, RateLimited):
        return _refused(429, str(error), {"retry-after": str(error.details.get("retryAfter", 1))})
    if not isinstance(error, (Unavailable, asyncpg.PostgresError)):
        raise error
    if isinstance(error, asyncpg.PostgresError):
        log.error("fixes were refused by the database: %s", type(error).__name__)
    return _refused(503, "The hub cannot store it just now: keep it, and send it again.", {"retry-after": "2"})


def _refused(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    codes = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RATE_LIMITED", 503: "UNAVAILABLE"}
    code = codes.get(status, "BAD_USER_INPUT")
    figures.count(figures.REFUSALS, code)
    told = {"message": message, "extensions": {"code": code}}
    return JSONResponse({"errors": [told]}, status, {"cache-control": "no-store", **(headers or {})})
