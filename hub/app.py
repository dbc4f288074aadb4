"""The hub as one ASGI application: what answers at which path. Everything that is shown is on this page."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from hub import events, graphql, health, pages, sign_in, websocket
from hub.database.session import Sessions
from hub.demonstration import door as demonstration
from hub.following import Moves, Stream
from hub.front import Hosts, Straight
from hub.identity.sign_ins import Identity
from hub.identity.stays import Stays
from hub.intake import door as intake
from hub.intake.taking import Taking
from hub.intake.weeks import Weeks
from hub.journal import Sealer
from hub.keeping import Keeper, Versions
from hub.live import Live
from hub.outlets import exports, tiles
from hub.outlets.kept_tile import Tile
from hub.photos import door as photos
from hub.settings import Settings
from hub.watch import door as watching
from hub.watch import figures, traces
from hub.watch.requests import Counted
from hub.watch.rounds import Rounds
from schema.api import schema


def create_app(settings: Settings, worker: int = 1) -> Starlette:
    """The application over the database in `settings.database.database_url`. Starts without it, not ready.
    `worker` is the number of this process among those that serve."""
    url = settings.database.database_url
    if url is None:
        raise ValueError("settings.database.database_url is missing: say which database the hub serves")
    sessions = Sessions(url, settings.database)
    stream = Stream(url, sessions, schema.journalled)
    moves = Moves(url, sessions)
    # Connections of their own: whatever else is asked of the hub, what trackers say is stored.
    reserved = Sessions(url, settings.database, size=2, name="intake")
    # Whoever takes an export slowly holds a connection: never one that others wait for.
    exporting = Sessions(url, settings.database, size=2, name="exports")
    looking = Sessions(url, settings.database, size=1, name="figures")
    # Asked with each tile: never behind the making of one.
    stamps = Sessions(url, settings.database, size=1, name="stamps")
    layers, areas = Versions(stamps, tiles.STAMPED), Versions(stamps, sorted(graphql.STAMPED))
    kept_tiles = Keeper(layers, Tile.weight, settings.server.tile_megabytes, what="tiles", worker=worker)
    kept_answers = Keeper(areas, graphql.weight, settings.server.answer_megabytes, what="answers", worker=worker)
    taking = Taking(reserved, settings.intake)
    live = Live(sessions, stream, moves, turns=settings.database.pool_size // 2)
    pools = {each.name: each for each in (sessions, reserved, exporting)}
    rounds = Rounds(looking, pools, live, settings.database.home or Path.cwd(), worker)
    figures.name_operations({*figures.own_operations(), *settings.server.metrics_operations})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await sessions.open()
        await reserved.open()
        await exporting.open()
        await looking.open()
        await stamps.open()
        traces.start()
        chores = [
            asyncio.create_task(Sealer(url).run()),
            asyncio.create_task(stream.run()),
            asyncio.create_task(moves.run()),
            asyncio.create_task(taking.run()),
            asyncio.create_task(rounds.run()),
            asyncio.create_task(layers.fold()),
        ]
        if settings.database.owner_url is not None:
            chores.append(asyncio.create_task(Weeks(settings.database.owner_url, settings.intake.position_days).run()))
        # What was loaded stays: without it in the collector's sight its pauses are short.
        gc.collect()
        gc.freeze()
        yield
        app.state.readiness.draining = True
        await live.drain()
        for chore in chores:
            chore.cancel()
            with suppress(asyncio.CancelledError):
                await chore
        figures.settle()
        await asyncio.to_thread(traces.stop)
        await stamps.close()
        await looking.close()
        await exporting.close()
        await reserved.close()
        await sessions.close()

    hosts: set[str] = set()
    packed = partial(GZipMiddleware, minimum_size=tiles.PACKED_FROM, compresslevel=4)
    app = Starlette(
        routes=routes(settings),
        lifespan=lifespan,
        middleware=[
            Middleware(Straight, hosts=hosts, packed=packed),
            Middleware(Counted),
            Middleware(pages.SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(settings.server.allowed_hosts), www_redirect=False),
            Middleware(Hosts, hosts=hosts),
            Middleware(packed),
        ],
        exception_handlers={HTTPException: _plain},
    )
    app.state.settings = settings
    app.state.sessions = sessions
    app.state.exporting = exporting
    app.state.identity = Identity(sessions, settings.sign_in)
    app.state.stays = Stays(app.state.identity)
    app.state.live = live
    app.state.taking = taking
    app.state.tiles = kept_tiles
    app.state.answers = kept_answers
    app.state.stamps = stamps
    app.state.photos = photos.Desk(settings.photos)
    app.state.readiness = health.Readiness(sessions, url)
    app.state.rounds = rounds
    app.state.looking = looking
    return app


def routes(settings: Settings) -> list[BaseRoute]:
    """Every path that the hub answers."""
    return [
        # Paths are tried one after the other: what comes hundreds of times a second comes first.
        *intake.routes(),
        Route("/graphql", _graphql, methods=["GET", "POST"]),
        WebSocketRoute("/graphql", websocket.connect),
        Route("/graphql/sql", graphql.statement, methods=["POST"]),
        Route("/graphql/explain", graphql.explain, methods=["POST"]),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        Route("/metrics", watching.metrics),
        *sign_in.routes(),
        *photos.routes(),
        *tiles.routes(),
        *exports.routes(),
        *demonstration.routes(),
        *pages.routes(settings),
    ]


async def _graphql(request: Request) -> Response:
    """A browser that comes by GET sees the query editor; operations come by POST only."""
    if request.method == "POST":
        wants_events = events.MEDIA in request.headers.get("accept", "")
        return await (events.answer(request) if wants_events else graphql.answer(request))
    if "query" in request.query_params or "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(
            {"errors": [{"message": "Send operations by POST.", "extensions": {"code": "BAD_USER_INPUT"}}]},
            405,
            {"allow": "POST"},
        )
    return pages.graphiql_page(request)


async def _plain(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"errors": [{"message": error.detail}]}, error.status_code, error.headers)
