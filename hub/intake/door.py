"""The paths where trackers send: `/intake/osmand`, `/intake/owntracks`, `/intake/batch`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.intake import batch, osmand, owntracks
from hub.intake.fixes import Fix, Fixes, Unfit
from hub.intake.taking import PART, Taking, Verdict
from hub.watch import figures
from schema.errors import RateLimited, Unavailable

log = logging.getLogger(__name__)

MOST_BODY = 16 * 1024
"""Bytes of a request that holds one fix."""

PIECE = 64 * 1024
"""Bytes of NDJSON that are read without a pause."""

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
            await taking.take([device], Fixes.of([fix]))
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
    try:
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                pieces = batch.inflated(request.stream(), gzip=encoding == "gzip", most=taking.settings.max_batch_bytes)
                body = b"".join([piece async for piece in pieces])
        except TimeoutError:
            return _refused(408, "The batch came too slowly.", {"connection": "close"})
        if kind == "application/x-ndjson":
            batch.check(body, taking.settings.max_batch_rows)
            return await _taken(taking, own, _lines(body), body)
        return await _taken(taking, own, _features(body, taking.settings.max_batch_rows), None)
    except ClientDisconnect:
        return _refused(400, "The request ended before its body did.")
    except batch.TooLarge as error:
        return _refused(413, f"{error}; nothing of it was stored.", {"connection": "close"})
    except Unfit as error:
        return _refused(400, f"{error}; nothing of it was stored.")
    except Exception as error:  # noqa: BLE001 - sorted into answers there
        return _failed(error)


@dataclass
class _Sent:
    """Rows of a batch as they were sent."""

    numbers: list[int] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    fixes: Fixes = field(default_factory=Fixes)
    refused: list[dict[str, Any]] = field(default_factory=list)

    def add(self, number: int, row: tuple[str | None, Fix] | Unfit) -> None:
        if isinstance(row, Unfit):
            self.refuse(number, row.field, str(row))
            return
        key, fix = row
        self.numbers.append(number)
        self.keys.append(key)
        self.fixes.add(fix)

    def refuse(self, number: int, field: str, message: str) -> None:
        self.refused.append({"row": number, "field": field, "message": message})


async def _lines(body: bytes) -> AsyncIterator[_Sent]:
    """The rows of NDJSON, in parts; others have a turn while they are read."""
    sent = _Sent()
    for first, text in batch.lines(body, PIECE):
        if (plain := batch.plain(text)) is not None:
            keys, fixes = plain
            sent.numbers.extend(range(first, first + len(keys)))
            sent.keys.extend(keys)
            sent.fixes.extend(fixes)
        else:
            for number, line in enumerate(text.split(b"\n"), first):
                if line and not line.isspace():
                    sent.add(number, _row(line))
        if len(sent.fixes) >= PART:
            yield sent
            sent = _Sent()
        await asyncio.sleep(0)
    yield sent


async def _features(body: bytes, most: int) -> AsyncIterator[_Sent]:
    """The rows of a FeatureCollection. Raises Unfit for what is none, and TooLarge for more than so many."""
    sent = _Sent()
    for count, (number, row) in enumerate(batch.from_features(body), 1):
        if count > most:
            raise batch.TooLarge(f"the batch has over {most:,} rows: send several")
        sent.add(number, row)
    yield sent


def _row(line: bytes) -> tuple[str | None, Fix] | Unfit:
    try:
        return batch.from_line(line)
    except Unfit as error:
        return error


async def _taken(taking: Taking, own: str | None, parts: AsyncIterator[_Sent], lines: bytes | None) -> Response:
    """Stores what is sent and says what became of it. `lines` are those that it is read from, if any."""
    read = [sent async for sent in parts] if lines is None else []
    device = (await taking.devices.by_keys([own]))[own] if own is not None else None
    if own is not None and device is None:
        return _refused(401, UNKNOWN, {"www-authenticate": "Bearer"})
    storing = _Storing(taking)
    if device is not None and lines is not None and b'"key"' not in lines and b"\\" not in lines:
        # All of it is one device's: what was read first is stored while the rest is read.
        taking.devices.hold_back(device, lines.count(b"\n") + (not lines.endswith(b"\n")))
        async for sent in parts:
            await storing.add(sent, [device] * len(sent.keys))
        return await storing.told()
    read += [sent async for sent in parts]
    known = await taking.devices.by_keys({key for sent in read for key in sent.keys if key is not None})
    found = [[device if key is None else known[key] for key in sent.keys] for sent in read]
    if own is None and not any(each is not None for devices in found for each in devices):
        return _refused(401, "Send the device's key as a bearer token, or each row's as `key`.")
    for each, count in Counter(each for devices in found for each in devices if each is not None).items():
        taking.devices.hold_back(each, count)
    for sent, devices in zip(read, found, strict=True):
        await storing.add(sent, devices)
    return await storing.told()


class _Storing:
    """A batch on its way into the database, in parts."""

    def __init__(self, taking: Taking) -> None:
        self._taking = taking
        self._parts: list[tuple[list[int], asyncio.Task[dict[int, Verdict]]]] = []
        self._refused: list[dict[str, Any]] = []
        self._earliest, self._latest = math.inf, -math.inf

    async def add(self, sent: _Sent, devices: list[UUID | None]) -> None:
        """One more part, and the device of each of its rows: None for a key that nobody has."""
        numbers, fixes = sent.numbers, sent.fixes
        places = [place for place, device in enumerate(devices) if device is not None]
        if len(places) < len(devices):
            for number, device in zip(numbers, devices, strict=True):
                if device is None:
                    sent.refuse(number, "key", f"key: {UNKNOWN}")
            numbers, fixes = [numbers[place] for place in places], fixes.at(places)
        self._refused += sent.refused
        figures.count(figures.FIXES, "refused", by=len(sent.refused))
        if not numbers:
            return
        earliest, latest = min(fixes.seconds), max(fixes.seconds)
        if earliest <= self._latest and self._earliest <= latest:
            # Of two fixes of one moment the first counts.
            await asyncio.wait([task for _, task in self._parts])
        self._earliest, self._latest = min(earliest, self._earliest), max(latest, self._latest)
        taken = self._taking.take([device for device in devices if device is not None], fixes)
        self._parts.append((numbers, asyncio.create_task(taken)))

    async def told(self) -> Response:
        """What became of all of it. Raises what a part failed with, once none is under way."""
        others: list[tuple[int, Verdict]] = []
        ended = await asyncio.gather(*(task for _, task in self._parts), return_exceptions=True)
        for (numbers, _), verdicts in zip(self._parts, ended, strict=True):
            if isinstance(verdicts, BaseException):
                raise verdicts
            others += [(numbers[place], verdict) for place, verdict in verdicts.items()]
        aside = sorted((number, verdict.value.upper()) for number, verdict in others if verdict.is_aside)
        return JSONResponse(
            {
                "stored": sum(len(numbers) for numbers, _ in self._parts) - len(others),
                "duplicates": len(others) - len(aside),
                "quarantined": [{"row": number, "reason": reason} for number, reason in aside],
                "refused": sorted(self._refused, key=lambda each: each["row"]),
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
