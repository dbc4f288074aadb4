"""What a page may ask of a demonstration: how far the play is, to pause it or play another, and to look on as somebody.

Nothing in a demonstration is real, so that whoever reaches the hub may look on without a password. Where the county
works there is no row in `demonstrations`, and all of this says so and does nothing.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.demonstration.seeding import ACCOUNTS
from hub.graphql import turned_away
from hub.identity import PUBLIC, SERVICE
from hub.identity.door import Visit
from hub.identity.sign_ins import Identity
from hub.sign_in import small_json
from schema.errors import BadUserInput, HubError, NotFound

_STATE = "select script, title, time_of_day, caption, paused from demonstrations"
_FRESH = {"Cache-Control": "no-store"}


def routes() -> list[BaseRoute]:
    return [
        Route("/demonstration", state, methods=["GET"]),
        Route("/demonstration", steer, methods=["POST"]),
        Route("/demonstration/sign-in", look_on, methods=["POST"]),
    ]


async def state(request: Request) -> Response:
    """GET /demonstration: `{"demonstration": null}` where the county works; otherwise the play, as it goes on."""
    try:
        rows = await request.app.state.sessions.fetch(PUBLIC, _STATE, [])
    except HubError as error:
        return turned_away(error)
    if not rows:
        return JSONResponse({"demonstration": None}, headers=_FRESH)
    script, title, time, caption, paused = rows[0]
    told = {"script": script, "title": title, "time": time, "caption": caption, "paused": paused}
    return JSONResponse({"demonstration": {**told, "roles": [role for role, _ in ACCOUNTS]}}, headers=_FRESH)


async def steer(request: Request) -> Response:
    """POST /demonstration `{"paused": true}` or `{"script": "flood-night"}`: stand still, go on, or begin another."""
    try:
        told = await small_json(request)
        paused, script = told.get("paused"), told.get("script")
        if set(told) - {"paused", "script"} or not told:
            raise BadUserInput('Send {"paused": true or false}, or {"script": "flood-night" or "ordinary-day"}.')
        if paused is not None and not isinstance(paused, bool):
            raise BadUserInput("paused is true or false")
        if script is not None and script not in ("flood-night", "ordinary-day"):
            raise BadUserInput("script is flood-night or ordinary-day")
        async with request.app.state.sessions.connection(SERVICE) as connection:
            done = await connection.fetchval(
                "update demonstrations set paused = coalesce($1, paused and $2::text is null), "
                "wish = coalesce($2, wish) returning true",
                paused,
                script,
            )
        if not done:
            raise NotFound(NONE)
    except HubError as error:
        return turned_away(error)
    return JSONResponse({"data": True}, headers=_FRESH)


async def look_on(request: Request) -> Response:
    """POST /demonstration/sign-in `{"role": "coordinator"}`: look on as somebody; the answer brings the cookie."""
    identity: Identity = request.app.state.identity
    visit = Visit(identity, request.client.host if request.client else "", from_page=True)
    try:
        role = (await small_json(request)).get("role")
        if not await request.app.state.sessions.fetch(PUBLIC, _STATE, []):
            raise NotFound(NONE)
        if role not in {each for each, _ in ACCOUNTS}:
            raise BadUserInput(f"role is one of {', '.join(each for each, _ in ACCOUNTS)}")
        signed = await identity.enter(str(role))
    except HubError as error:
        return turned_away(error)
    visit.welcome(signed)
    response = JSONResponse({"data": {"expiresAt": signed.expires_at.isoformat()}}, headers=_FRESH)
    for each in visit.cookies:
        response.headers.append("set-cookie", each)
    return response


NONE = "This hub holds the county's own data: there is no demonstration."
