"""The hub's pages and the files that they load: the county's map, the query editor, their scripts and styles.

A request is looked up in a list of names that was made at start, never joined to a folder: what is not on the list
does not exist, whatever a path says. Files are small and few, so each is held in memory with its gzip twin.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import assets
from hub.settings import Settings

MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",
}
"""Media type by ending; the licences of packages have none."""

OWN = {".css", ".js", ".svg", ".ico"}
"""Endings of our own files that a page may load. package.json and the pages' templates are not among them."""

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self'",
        "worker-src 'self'",
        "img-src 'self' data: blob:",
        # MapLibre and GraphiQL set style attributes; styles can't run code, and none can be fetched from elsewhere.
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ]
)

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


STRICT = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

DATA_STRICT = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""The same for an answer that is JSON by its media type, which loads nothing and is no page: each header that is sent
is looked through once more on its way."""

_JSON = (b"content-type", b"application/json")


class SecurityHeaders:
    """Puts the same strict headers on every answer that comes through here; one that sets some itself keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                names = {name for name, _ in own}
                strict = DATA_STRICT if _JSON in own else STRICT
                message["headers"] = [*own, *(each for each in strict if each[0] not in names)]
            await send(message)

        await self.app(scope, receive, guarded)


@dataclass(frozen=True)
class Held:
    """One file in memory, plain and gzipped, with the hash that is its ETag."""

    modified: int
    media: str
    body: bytes
    packed: bytes | None
    tag: str


class Shelf:
    """The files that pages may load, by the name that follows `/static/`, and the pages themselves."""

    def __init__(self, web: Path = assets.WEB) -> None:
        own = {path.name: path for path in web.iterdir() if path.suffix in OWN}
        locked = assets.versions(web)
        vendored = {
            f"vendor/{package}-{locked[package]}/{Path(name).name}"
            for package, names in assets.FILES.items()
            for name in names
        }
        self.names: dict[str, Path] = own | {name: web / name for name in vendored}
        self.pages = {path.name: path for path in web.glob("*.html")}
        self._held: dict[Path, Held] = {}

    def held(self, path: Path) -> Held | None:
        """The file as it stands now: one `stat` shows whether it has changed since it was read."""
        try:
            modified = path.stat().st_mtime_ns
        except OSError:
            return None
        held = self._held.get(path)
        if held is None or held.modified != modified:
            body = path.read_bytes()
            twin = path.with_name(path.name + ".gz")
            held = _hold(modified, path.suffix, body, twin.read_bytes() if twin.is_file() else None)
            self._held[path] = held
        return held


def _hold(modified: int, suffix: str, body: bytes, packed: bytes | None = None) -> Held:
    packed = packed or gzip.compress(body, 9, mtime=0)
    # Icons and short files would only grow.
    worth = packed if len(packed) < 0.9 * len(body) else None
    return Held(modified, MEDIA[suffix], body, worth, hashlib.sha256(body).hexdigest()[:32])


def _answer(request: Request, held: Held | None, cached: str, vary: str = "Accept-Encoding") -> Response:
    """A file as the browser asked for it: whole or a part, packed or plain, or 304 when it has it already."""
    if held is None:
        return PlainTextResponse("There is no such file.\n", 404, {"Cache-Control": "no-store"})
    headers = {"Cache-Control": cached, "Content-Type": held.media, "Vary": vary, "Accept-Ranges": "bytes"}
    body, tag = held.body, f'"{held.tag}"'
    if held.packed is not None and "range" not in request.headers and _takes_gzip(request.headers):
        # A strong tag names bytes, so the packed form has one of its own.
        body, tag = held.packed, f'"{held.tag}-gzip"'
        headers["Content-Encoding"] = "gzip"
    headers["ETag"] = tag
    if _matches(request.headers.get("if-none-match"), held.tag):
        return Response(status_code=304, headers={"Cache-Control": cached, "Vary": vary, "ETag": tag})
    status = 200
    part = _part(request, len(body), tag) if request.method == "GET" else None
    if part == ():
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(body)}"})
    if part:
        first, last = part
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        body, status = body[first : last + 1], 206
    headers["Content-Length"] = str(len(body))
    return Response(b"" if request.method == "HEAD" else body, status, headers)


def _takes_gzip(headers: Headers) -> bool:
    for offer in headers.get("accept-encoding", "").lower().split(","):
        coding, _, quality = offer.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", quality)
    return False


def _matches(condition: str | None, tag: str) -> bool:
    """Whether the browser holds this file already, in either form."""
    if condition is None:
        return False
    held = {part.strip().removeprefix("W/").strip('"').removesuffix("-gzip") for part in condition.split(",")}
    return "*" in held or tag in held


def _part(request: Request, length: int, tag: str) -> tuple[int, int] | tuple[()] | None:
    """First and last byte of a single range; `()` when it lies outside; None for the whole file.

    Several ranges, other units, or a file that changed since (`If-Range`) are answered whole, as RFC 9110 allows.
    """
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", "").replace(" ", ""))
    if not asked or not any(asked.groups()) or request.headers.get("if-range", tag) != tag:
        return None
    if max(map(len, asked.groups())) > 15:
        return ()
    start, end = asked.groups()
    if not start:
        first, last = max(0, length - int(end)), length - 1
        return (first, last) if int(end) and length else ()
    first, last = int(start), min(int(end), length - 1) if end else length - 1
    if end and int(end) < first:
        return None
    return (first, last) if first < length else ()


FRESH = "no-cache"
"""Our own files: kept, but asked after each time, so that a new version of the hub is seen at once."""
FOREVER = "public, max-age=31536000, immutable"
"""Packages: their address carries their version."""


EDITOR = b' data-editor="on"'
"""What the map's page says of the query editor; without it the page shows no way to it."""


@cache
def _shelf() -> Shelf:
    return Shelf()


def graphiql_page(request: Request) -> Response:
    """The query editor: what `/graphql` shows to a browser that asks for a page."""
    shelf = _shelf()
    # The same address answers JSON to everyone else.
    return _answer(request, shelf.held(shelf.pages["graphiql.html"]), FRESH, "Accept, Accept-Encoding")


def routes(settings: Settings) -> list[BaseRoute]:
    """`/` with the county's map, the files of both pages, and the icon."""
    shelf = _shelf()

    async def map_page(request: Request) -> Response:
        held = shelf.held(shelf.pages["index.html"])
        if held and not settings.server.graphiql:
            held = _hold(held.modified, ".html", held.body.replace(EDITOR, b""))
        return _answer(request, held, FRESH)

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        path = shelf.names.get(name)
        return _answer(request, shelf.held(path) if path else None, FOREVER if name.startswith("vendor/") else FRESH)

    async def favicon(request: Request) -> Response:
        path = shelf.names.get("favicon.ico")
        return _answer(request, shelf.held(path) if path else None, "public, max-age=86400")

    return [
        Route("/", map_page, methods=["GET"], name="map"),
        Route("/static/{name:path}", file, methods=["GET"], name="static"),
        Route("/favicon.ico", favicon, methods=["GET"], name="favicon"),
    ]
