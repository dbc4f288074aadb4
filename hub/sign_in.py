"""The pages on which people prove who they are: `/sign-in`, and `/welcome`, where a one-time link leads.

The link's code stands after the `#`, which browsers keep to themselves: it is in no request for a page, no log and no
`Referer`. The page sends it in a body. Signing in and out is GraphQL, like everything else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.graphql import turned_away
from hub.identity.door import HEADER, Visit
from hub.identity.sign_ins import Identity
from schema.errors import BadUserInput, Forbidden, HubError

WEB = Path(__file__).resolve().parent / "web"

LARGEST_BODY = 16 * 1024

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'none'",  # forms are sent by script: without it a password would go nowhere, not into an address
    ]
)
"""Stricter than the map's: nothing here needs a style attribute or a worker."""


def routes() -> list[BaseRoute]:
    """The pages and what the welcome page asks."""
    return [
        Route("/sign-in", _page("sign-in.html"), methods=["GET"], name="sign-in"),
        Route("/welcome", _page("welcome.html"), methods=["GET"], name="welcome"),
        Route("/welcome/invitation", invitation, methods=["POST"]),
        Route("/welcome/acceptance", acceptance, methods=["POST"]),
    ]


def _page(name: str) -> Any:
    async def page(_: Request) -> Response:
        return Response(
            (WEB / name).read_bytes(),
            media_type="text/html; charset=utf-8",
            headers={
                "Cache-Control": "no-store",
                "Content-Security-Policy": CONTENT_SECURITY_POLICY,
                "Referrer-Policy": "no-referrer",
            },
        )

    return page


async def invitation(request: Request) -> Response:
    """POST /welcome/invitation `{code}`: whom the link is for, as long as it opens."""
    identity: Identity = request.app.state.identity
    try:
        (code,) = await _asked(request, "code")
        invited = await identity.invited(code)
    except HubError as error:
        return turned_away(error)
    return _answer(
        {
            "name": invited.name,
            "displayName": invited.display_name,
            "expiresAt": invited.expires_at.isoformat(),
        }
    )


async def acceptance(request: Request) -> Response:
    """POST /welcome/acceptance `{code, displayName, password}`: take the link; the answer brings the cookie."""
    identity: Identity = request.app.state.identity
    visit = Visit(identity, request.client.host if request.client else "", from_page=True)
    try:
        signed = await identity.accept(*await _asked(request, "code", "displayName", "password"))
    except HubError as error:
        return turned_away(error)
    visit.welcome(signed)
    response = _answer({"expiresAt": signed.expires_at.isoformat()})
    for each in visit.cookies:
        response.headers.append("set-cookie", each)
    return response


def _answer(data: dict[str, Any]) -> Response:
    return JSONResponse({"data": data}, headers={"Cache-Control": "no-store"})


async def _asked(request: Request, *names: str) -> list[str]:
    """Texts out of a small JSON object that our own page sent."""
    told = await small_json(request)
    values = [told[name] for name in names if isinstance(told.get(name), str)]
    if len(values) < len(names):
        raise BadUserInput(f"An object with the texts {', '.join(names)} is expected.")
    return values


async def small_json(request: Request) -> dict[str, Any]:
    """A small JSON object that our own page sent: no other site can make a browser send our header."""
    if request.headers.get(HEADER) != "1":
        raise Forbidden("Only the hub's own pages ask here: open them in a browser.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadUserInput("Send application/json.")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise BadUserInput(f"The body is over {LARGEST_BODY:,} bytes.")
        told = json.loads(body)
    except (ValueError, RecursionError, ClientDisconnect) as error:
        if isinstance(error, HubError):
            raise
        raise BadUserInput("The body is no JSON.") from error
    if not isinstance(told, dict):
        raise BadUserInput("A JSON object is expected.")
    return told
