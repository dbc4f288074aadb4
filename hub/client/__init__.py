"""What notebooks and scripts import: the hub's lists as GeoDataFrames, any question of GraphQL, what happens just now.

    from hub.client import Hub
    hub = Hub("http://127.0.0.1:8000", token="…")
    floods = hub.incidents(kind="FLOOD", ward="1208")

It needs nothing of the server: `pip install kisumu-hub[client]`. See hub/docs/client.md.
"""

from hub.client.asking import NotAnHub, Resync
from hub.client.hub import AsyncHub, Hub
from schema.errors import (
    BadUserInput,
    Conflict,
    Forbidden,
    HubError,
    Internal,
    NotFound,
    QueryTooComplex,
    RateLimited,
    Unauthenticated,
    Unavailable,
)

__all__ = [
    "AsyncHub",
    "BadUserInput",
    "Conflict",
    "Forbidden",
    "Hub",
    "HubError",
    "Internal",
    "NotAnHub",
    "NotFound",
    "QueryTooComplex",
    "RateLimited",
    "Resync",
    "Unauthenticated",
    "Unavailable",
    "load_ipython_extension",
]


def load_ipython_extension(ipython: object) -> None:
    """`%load_ext hub.client` brings `%%graphql`."""
    from hub.client.magic import GraphQLMagics

    ipython.register_magics(GraphQLMagics)  # type: ignore[attr-defined]
