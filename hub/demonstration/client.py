"""A small HTTP client: one connection, kept alive, one request after the other. Nothing is repeated by itself."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httptools


class Unreachable(OSError):
    """No whole answer came: nobody listens, the connection broke, it took too long, or it was no HTTP."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    """By name in small letters."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return json.loads(self.body)


class Client:
    """A connection to one server, opened when it is needed and opened anew after it broke."""

    def __init__(self, base_url: str, *, timeout: float = 10.0) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url} is no address of a hub: send http://127.0.0.1:8000, for one")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._netloc = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET, with a query string where there is one. Raises Unreachable."""
        asked = f"?{urlencode(query)}" if query else ""
        return await self._ask(f"GET {self._prefix}{path}{asked} HTTP/1.1\r\n", b"")

    async def post(self, path: str, body: Any, token: str | None = None) -> Answer:
        """POST JSON, as the bearer of a token where there is one. Raises Unreachable."""
        sent = json.dumps(body).encode()
        shown = f"authorization: Bearer {token}\r\n" if token else ""
        head = f"POST {self._prefix}{path} HTTP/1.1\r\n{shown}content-type: application/json\r\n"
        return await self._ask(f"{head}content-length: {len(sent)}\r\n", sent)

    async def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()

    async def _ask(self, head: str, body: bytes) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
                reader, writer = self._streams
                writer.write(f"{head}host: {self._netloc}\r\nuser-agent: hub simulate\r\n\r\n".encode() + body)
                await writer.drain()
                answer, stays = await _read(reader)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            await self.close()
            raise Unreachable(str(error) or type(error).__name__) from error
        except BaseException:
            # Cut off in the middle: what comes next on this connection would be the answer to this.
            await self.close()
            raise
        if not stays:
            await self.close()
        return answer


class _Reading:
    """What the parser calls while it reads an answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.whole = True


async def _read(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """An answer, and whether the connection stays open after it."""
    reading = _Reading()
    parser = httptools.HttpResponseParser(reading)
    while not reading.whole:
        part = await reader.read(65_536)
        if not part:
            raise ConnectionResetError("the server closed the connection without a whole answer")
        parser.feed_data(part)
    stays = reading.headers.get("connection", "").lower() != "close"
    return Answer(parser.get_status_code(), reading.headers, bytes(reading.body)), stays
