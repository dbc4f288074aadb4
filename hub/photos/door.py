"""Where photos come in and go out: `POST /incidents/{id}/photos`, `GET /photos/{id}` and its thumbnail.

One photo is one body: forms with several parts are not taken, so that there is nothing to take apart. Who may not write
the incident is refused before a byte of the body is read; what is read has no name, and lies in no file of a disk where
the system can help it. Photos go out as the caller's policies allow, whole, and as files that no page runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import IO, Any

import asyncpg
from graphql import GraphQLError
from sqlalchemy import select
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.database.session import Sessions, Transaction
from hub.graphql import RETRY_SECONDS, as_answer
from hub.identity.door import visit_of
from hub.photos import kinds
from hub.photos.developing import Developing
from hub.settings import Photos
from schema.errors import STATUS, BadUserInput, Conflict, Forbidden, HubError, NotFound, Unauthenticated, Unavailable
from schema.incidents import incidents
from schema.photos import FULL, MOST_PHOTOS, Stored, add, count, stored

MOST_HELD_BYTES = 256 * 1024 * 1024
"""Of bodies that are coming in or wait, in one worker."""

NO_INCIDENT = "There is no such incident, or you may not change it."
NO_PHOTO = "There is no such photo, or you may not see it."


class Refused(BadUserInput):
    """A request that brings no photo, with its HTTP status."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers.items())


class Desk:
    """What one worker needs to take photos in."""

    def __init__(self, settings: Photos) -> None:
        self.settings = settings
        self.developing = Developing(settings)
        self.held = 0
        """Bytes of bodies that are here now."""


def routes() -> list[BaseRoute]:
    return [
        Route("/incidents/{id}/photos", upload, methods=["POST"], name="add-photo"),
        Route("/photos/{id}", photo, methods=["GET"], name="photo"),
        Route("/photos/{id}/thumbnail", thumbnail, methods=["GET"], name="thumbnail"),
    ]


# -- in ----------------------------------------------------------------------------------------------------------------


async def upload(request: Request) -> Response:
    """POST /incidents/{id}/photos: the bytes of one image. 201 when it is stored, 200 when this file was before."""
    desk: Desk = request.app.state.photos
    sessions: Sessions = request.app.state.sessions
    try:
        kind = _kind(request)
        visit = await visit_of(request)
        caller = visit.caller
        if "x-hub-see-as" in request.headers:
            raise Forbidden("Who looks as somebody else changes nothing: leave X-Hub-See-As out.")
        if not caller.person:
            raise Unauthenticated
        incident = _id(request, NO_INCIDENT)
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and declared.isascii() and int(declared) > desk.settings.max_photo_bytes:
            raise _too_large(desk.settings)
        async with sessions.change(caller) as change:
            await _writable(change, incident)
        with _room(desk) as room:
            sent = await room.receive(request, kind)
            async with sessions.change(caller) as change:
                await _writable(change, incident)
                there = await stored(change, incident, sent)
                if there is None and await count(change, incident) >= MOST_PHOTOS:
                    raise Conflict(FULL)
            if there is not None:
                return _told(there, 200)
            developed = await desk.developing.develop(kind, room.file, caller.person)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(developed.image).digest())
        try:
            async with sessions.change(caller) as change:
                await _writable(change, incident)
                there, new = await add(change, incident, sent, digest, developed)
        except Unavailable as error:
            raise Unavailable(
                "The database went away or is busy; it is unknown whether the photo was stored. Send the same file "
                "again: it is stored once."
            ) from error
        return _told(there, 201 if new else 200)
    except (HubError, asyncpg.PostgresError) as error:
        return _refusal(error)


def _kind(request: Request) -> kinds.Kind:
    """What the body is said to be."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = kinds.BY_MEDIA_TYPE.get(said)
    if kind is None:
        raise Refused(415, kinds.why_not(said), accept=", ".join(kinds.BY_MEDIA_TYPE))
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused(415, f"Photos are compressed already: leave Content-Encoding out. {kinds.SEND}")
    return kind


def _id(request: Request, otherwise: str) -> uuid.UUID:
    said = request.path_params["id"]
    try:
        found = uuid.UUID(said)
    except ValueError:
        raise NotFound(otherwise) from None
    if str(found) != said.lower():  # braces, `urn:uuid:` and the like: one photo has one address
        raise NotFound(otherwise)
    return found


async def _writable(change: Transaction, incident: uuid.UUID) -> None:
    """Refuse who may not write the incident, as if there were none: to lock a row is for those who may change it."""
    mine = select(incidents.c.id).where(incidents.c.id == incident).with_for_update(read=True, key_share=True)
    if not await change.rows(mine):
        raise NotFound(NO_INCIDENT)


class _Room:
    """A body on its way through: in memory of its own, which is given back whole."""

    def __init__(self, desk: Desk, file: IO[bytes]) -> None:
        self._desk = desk
        self.file = file
        self.size = 0

    async def receive(self, request: Request, kind: kinds.Kind) -> bytes:
        """Take the body in; its SHA-256. Refused as soon as its first bytes or its length say so."""
        digest, first, seen = hashlib.sha256(), b"", False
        try:
            async with asyncio.timeout(self._desk.settings.upload_seconds):
                async for piece in self._pieces(request):
                    self._keep(piece)
                    digest.update(piece)
                    if not seen:
                        first += piece[: kinds.ENOUGH]
                        if len(first) >= kinds.ENOUGH:
                            _fits(first, kind)
                            seen = True
        except TimeoutError as error:
            raise Refused(408, "The photo came too slowly: send it again, or a smaller one.", connection="close") from (
                error
            )
        except ClientDisconnect as error:
            raise Refused(400, "The request ended before its body did.") from error
        if not self.size:
            raise BadUserInput(f"The body is empty. {kinds.SEND}")
        _fits(first, kind)
        return digest.digest()

    async def _pieces(self, request: Request) -> AsyncIterator[bytes]:
        stream = request.stream()
        while True:
            async with asyncio.timeout(self._desk.settings.upload_idle_seconds):
                try:
                    piece = await anext(stream)
                except StopAsyncIteration:
                    return
            yield piece

    def _keep(self, piece: bytes) -> None:
        if self.size + len(piece) > self._desk.settings.max_photo_bytes:
            raise _too_large(self._desk.settings)
        if self._desk.held + len(piece) > MOST_HELD_BYTES:
            raise Unavailable("Many photos are coming in: send it again in a moment.")
        self.size += len(piece)
        self._desk.held += len(piece)
        self.file.write(piece)


@contextmanager
def _room(desk: Desk) -> Any:
    with _nameless() as file:
        room = _Room(desk, file)
        try:
            yield room
        finally:
            desk.held -= room.size


def _nameless() -> IO[bytes]:
    """A file without a name, in memory where the system can: what is in it, places and names too, is gone with it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("photo"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _fits(first: bytes, said: kinds.Kind) -> None:
    found = kinds.kind_of(first)
    if found is None:
        seems = kinds.called(first)
        raise Refused(415, f"This is {seems}. {kinds.SEND}" if seems else f"This is no photo. {kinds.SEND}")
    if found is not said:
        raise BadUserInput(
            f"The content-type says {said.media_type}, the bytes are {found.media_type}: send them as what they are."
        )


def _too_large(settings: Photos) -> Refused:
    return Refused(413, f"The photo is over {settings.max_photo_bytes:,} bytes (HUB_MAX_PHOTO_BYTES).")


def _told(there: Stored, status: int) -> Response:
    url = f"/photos/{there.id}"
    told = {
        "id": there.id,
        "url": url,
        "thumbnailUrl": f"{url}/thumbnail",
        "width": there.width,
        "height": there.height,
    }
    return JSONResponse(
        {"photo": told}, status, {"cache-control": "no-store"} | ({"location": url} if status == 201 else {})
    )


# -- out ---------------------------------------------------------------------------------------------------------------

_ASKED = """
select i.reference, encode(p.digest, 'hex') as digest,
       case when encode(p.digest, 'hex') || $3 = any ($2) or '*' = any ($2) then null else p.{column} end as bytes
from photos p join incidents i on i.id = p.incident_id
where p.id = $1 and p.image is not null
"""


async def photo(request: Request) -> Response:
    """GET /photos/{id}: the photo."""
    return await _shown(request, "image", "")


async def thumbnail(request: Request) -> Response:
    """GET /photos/{id}/thumbnail: the photo, small."""
    return await _shown(request, "thumbnail", "-small")


async def _shown(request: Request, column: str, mark: str) -> Response:
    sessions: Sessions = request.app.state.sessions
    held = [each.strip().removeprefix("W/").strip('"') for each in request.headers.get("if-none-match", "").split(",")]
    try:
        visit = await visit_of(request)
        id = _id(request, NO_PHOTO)
        found = await sessions.fetch(visit.caller, _ASKED.format(column=column), [id, held, mark])
        if not found:
            raise NotFound(NO_PHOTO)
    except (HubError, asyncpg.PostgresError) as error:
        return _refusal(error)
    (row,) = found
    headers = {
        "cache-control": "private, no-cache",
        "etag": f'"{row["digest"]}{mark}"',
        "vary": "Cookie, Authorization, X-Hub-See-As",
    }
    body = row["bytes"]
    if body is None:
        return Response(status_code=304, headers=headers)
    headers |= {
        "content-type": "image/jpeg",
        "content-length": str(len(body)),
        "content-disposition": f'attachment; filename="{row["reference"]}-{row["digest"][:8]}{mark}.jpg"',
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
        "accept-ranges": "none",
    }
    return Response(b"" if request.method == "HEAD" else body, 200, headers)


def _refusal(error: HubError | asyncpg.PostgresError) -> Response:
    """A refusal in the shape of GraphQL's; of what nobody foresaw only a number."""
    if isinstance(error, asyncpg.PostgresError):
        told = as_answer(GraphQLError("", original_error=error))
    else:
        told = as_answer(error)
    status = error.status if isinstance(error, Refused) else STATUS[told["extensions"]["code"]]
    response = JSONResponse({"errors": [told]}, status, {"cache-control": "no-store"})
    for name, value in getattr(error, "headers", ()):
        response.headers.append(name, value)
    if status in (429, 503):
        response.headers["retry-after"] = str(told["extensions"].get("retryAfter", RETRY_SECONDS))
    return response
