"""The hub as notebooks see it: `Hub`, and `AsyncHub` for code that awaits: one works, the other waits for it."""

from __future__ import annotations

import asyncio
import json
import queue
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from hub.client import filters
from hub.client.asking import Asking
from schema.errors import BadUserInput

if TYPE_CHECKING:
    import geopandas
    import pandas

T = TypeVar("T")
Progress = bool | Callable[[int], None]
"""True: says on the standard error how much there is so far. A function: is told how many bytes there are."""

_SIGN_IN = "mutation ($input: SignInInput!) { signIn(input: $input) { token } }"


class _Layers:
    """A method for each layer, with the API's filters as keywords: see AsyncHub.layer, and hub/docs/exports.md for the
    columns."""

    layer: Callable[..., Any]

    def wards(self, **given: Any) -> Any:
        """The wards, with figures and outlines."""
        return self.layer("wards", **given)

    def sub_counties(self, **given: Any) -> Any:
        """The sub-counties, with figures and outlines."""
        return self.layer("subCounties", **given)

    def landmarks(self, **given: Any) -> Any:
        """Landmarks that reports name."""
        return self.layer("landmarks", **given)

    def incidents(self, **given: Any) -> Any:
        """Incidents that you may see."""
        return self.layer("incidents", **given)

    def vehicles(self, **given: Any) -> Any:
        """The fleet, each vehicle where it was last."""
        return self.layer("vehicles", **given)

    def positions(self, **given: Any) -> Any:
        """Every fix of every vehicle: ask for a period and a vehicle."""
        return self.layer("positions", **given)

    def patrols(self, **given: Any) -> Any:
        """Patrols, with what they covered."""
        return self.layer("patrols", **given)


class AsyncHub(_Layers):
    """One hub, asked as one person. Without a token: as the public."""

    def __init__(self, url: str = "http://127.0.0.1:8000", token: str | None = None) -> None:
        self._asking = Asking(url, token)
        self._me: str | None = None

    @classmethod
    async def sign_in(cls, url: str, name: str, password: str) -> AsyncHub:
        """Signed in by name and password; the token ends by itself."""
        made = cls(url)
        try:
            await made._sign_in(name, password)
        except BaseException:
            await made.close()
            raise
        return made

    async def _sign_in(self, name: str, password: str) -> None:
        answer = await self._asking.graphql(_SIGN_IN, {"input": {"name": name, "password": password}})
        self._asking.token = answer["signIn"]["token"]

    async def close(self) -> None:
        await self._asking.http.aclose()

    async def __aenter__(self) -> AsyncHub:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- layers -----------------------------------------------------------------------------------------------------

    async def layer(
        self,
        name: str,
        *,
        order_by: list[dict[str, Any]] | None = None,
        first: int | None = None,
        progress: Progress = False,
        **given: Any,
    ) -> geopandas.GeoDataFrame:
        """A layer of `/export` as a GeoDataFrame: all rows that you may see and the filters let through. EPSG:4326,
        moments in UTC; empty, with all columns, where nothing is. `hub.client.filters.where` says what filters may be.
        """
        from hub.client import frames

        if name not in filters.SHAPES:
            raise BadUserInput(f"layer {name!r}: there is none of this name; there are {', '.join(filters.SHAPES)}")
        query: dict[str, str] = {}
        if given:
            query["where"] = json.dumps(filters.where(name, dict(given)))
        if order_by is not None:
            query["orderBy"] = json.dumps(order_by)
        if first is not None:
            query["first"] = str(first)
        content = await self._asking.get(f"/export/{name}.arrow", query, _told(progress))
        frame = frames.of_arrow(content)
        frame.attrs["hub"] = await self._provenance({"layer": name, "query": query})
        return frame

    # -- any question -----------------------------------------------------------------------------------------------

    async def query(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """An operation's data, as JSON has it. Raises HubError: BadUserInput, Forbidden, NotFound, Conflict, …"""
        return await self._asking.graphql(document, {name: filters.plain(value) for name, value in variables.items()})

    async def rows(self, document: str, /, **variables: Any) -> AsyncIterator[dict[str, Any]]:
        """The rows of the one list that a document asks for, page after page where it takes `$after` and selects
        `pageInfo { hasNextPage endCursor }`."""
        given = dict(variables)
        while True:
            data = await self.query(document, **given)
            found = _list(data)
            for row in found["nodes"] if isinstance(found, dict) else found:
                yield row
            info = found.get("pageInfo") if isinstance(found, dict) else None
            if "$after" not in document or not (info and info.get("hasNextPage")):
                return
            given["after"] = info["endCursor"]

    async def frame(self, document: str, /, **variables: Any) -> pandas.DataFrame:
        """The rows of the one list that a document asks for, as a frame; a GeoDataFrame where a shape is among them."""
        from hub.client import frames

        made = frames.of_rows([row async for row in self.rows(document, **variables)])
        plain = {name: filters.plain(value) for name, value in variables.items()}
        made.attrs["hub"] = await self._provenance({"query": document, "variables": plain})
        return made

    def listen(self, document: str, /, **variables: Any) -> AsyncIterator[dict[str, Any]]:
        """A subscription's events as they come, each once. A line that breaks is taken up again behind the last event,
        where the document takes `$after: String`. Raises Resync where the hub can no longer tell what was missed."""
        return self._asking.events(document, variables)

    # -- where a frame comes from -----------------------------------------------------------------------------------

    async def _provenance(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self._me is None:
            answer = await self._asking.graphql("{ me { name } }", {})
            version = json.loads(await self._asking.get("/health/live", {}, None)).get("version", "")
            self._me = json.dumps([answer["me"] and answer["me"]["name"], version])
        person, version = json.loads(self._me)
        return {
            **asked,
            "url": self._asking.url,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "person": person or "the public",
            "version": version,
        }

    async def rerun(self, frame: pandas.DataFrame) -> pandas.DataFrame:
        """The same question as a frame's, asked now, as whoever asks now."""
        told = frame.attrs.get("hub")
        if not told:
            raise BadUserInput("frame.attrs['hub'] is missing: this frame does not say which question it answers")
        if "layer" not in told:
            return await self.frame(told["query"], **told["variables"])
        query = told["query"]
        return await self.layer(
            told["layer"],
            order_by=json.loads(query["orderBy"]) if "orderBy" in query else None,
            first=int(query["first"]) if "first" in query else None,
            **({"where": json.loads(query["where"])} if "where" in query else {}),
        )


def _list(data: dict[str, Any]) -> Any:
    if len(data) != 1:
        raise BadUserInput("The document asks for several things: ask for one list, or use query().")
    (found,) = data.values()
    if isinstance(found, list) or (isinstance(found, dict) and "nodes" in found):
        return found
    raise BadUserInput("The document asks for no list with `nodes`: use query() for what is no list.")


def _told(progress: Progress) -> Callable[[int], None] | None:
    if progress is False:
        return None
    if callable(progress):
        return progress

    def say(so_far: int) -> None:
        sys.stderr.write(f"\r{so_far / 1e6:.1f} MB ")
        sys.stderr.flush()

    return say


class Hub(_Layers):
    """One hub, asked as one person. Without a token: as the public. Everything of AsyncHub, waited for: also inside of
    a notebook, whose own loop goes on meanwhile."""

    def __init__(self, url: str = "http://127.0.0.1:8000", token: str | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hub.client", daemon=True)
        self._thread.start()
        self.asynchronous = self._wait(_made(url, token))

    @classmethod
    def sign_in(cls, url: str, name: str, password: str) -> Hub:
        """Signed in by name and password; the token ends by itself."""
        made = cls(url)
        try:
            made._wait(made.asynchronous._sign_in(name, password))
        except BaseException:
            made.close()
            raise
        return made

    @classmethod
    def from_environment(cls) -> Hub:
        """The hub that HUB_URL and HUB_TOKEN name: `make notebooks` sets both."""
        import os

        return cls(os.environ.get("HUB_URL", "http://127.0.0.1:8000"), os.environ.get("HUB_TOKEN") or None)

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    @property
    def url(self) -> str:
        return self.asynchronous._asking.url

    def query(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """See AsyncHub.query."""
        return self._wait(self.asynchronous.query(document, **variables))

    def rows(self, document: str, /, **variables: Any) -> list[dict[str, Any]]:
        """See AsyncHub.rows."""
        return self._wait(_all(self.asynchronous.rows(document, **variables)))

    def frame(self, document: str, /, **variables: Any) -> pandas.DataFrame:
        """See AsyncHub.frame."""
        return self._wait(self.asynchronous.frame(document, **variables))

    def layer(self, name: str, **given: Any) -> geopandas.GeoDataFrame:
        """See AsyncHub.layer."""
        return self._wait(self.asynchronous.layer(name, **given))

    def rerun(self, frame: pandas.DataFrame) -> pandas.DataFrame:
        """See AsyncHub.rerun."""
        return self._wait(self.asynchronous.rerun(frame))

    def listen(self, document: str, /, **variables: Any) -> Iterator[dict[str, Any]]:
        """See AsyncHub.listen. Ends when the iterator is closed, or the loop over it is left."""
        heard: queue.Queue[Any] = queue.Queue()

        async def follow() -> None:
            try:
                async for event in self.asynchronous.listen(document, **variables):
                    heard.put(event)
                heard.put(None)
            except Exception as error:  # noqa: BLE001 - handed to whoever listens
                heard.put(error)

        following = asyncio.run_coroutine_threadsafe(follow(), self._loop)
        try:
            while (event := heard.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            following.cancel()

    # -- maps -------------------------------------------------------------------------------------------------------

    def map(self, frame: geopandas.GeoDataFrame, **how: Any) -> Any:
        """A frame on the county's wards, in one file that needs no internet: see hub.client.maps.drawn."""
        from hub.client import maps

        return maps.drawn(self, frame, **how)

    def choropleth(self, values: pandas.DataFrame, column: str, *, title: str, **how: Any) -> Any:
        """Wards coloured by a column, in classes: see hub.client.maps.choropleth."""
        from hub.client import maps

        return maps.choropleth(self, values, column, title=title, **how)

    def rates(self, counts: pandas.Series, *, per: str = "km2") -> pandas.DataFrame:
        """Counts by ward code as rates on land or people: see hub.client.maps.rates."""
        from hub.client import maps

        return maps.rates(self, counts, per=per)

    def live_map(self, height: int = 480) -> Any:
        """A widget that moves as vehicles do: see hub.client.live.LiveMap."""
        from hub.client.live import LiveMap

        return LiveMap(self, height)

    def file(self, path: str) -> bytes:
        """A file of the hub's own pages, such as what maps are drawn with."""
        return self._wait(self.asynchronous._asking.get(path, {}, None))

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._wait(self._ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _ended(self) -> None:
        """Lines that are still listened to end, and the connections are closed."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            if not task.cancelling():  # who is told twice leaves without closing the line
                task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.asynchronous.close()

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Hub({self.url!r})"


async def _made(url: str, token: str | None) -> AsyncHub:
    return AsyncHub(url, token)


async def _all(rows: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row async for row in rows]
