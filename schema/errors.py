"""What can go wrong, as the caller learns it. An exception's docstring is its default message."""

from __future__ import annotations

from inspect import getdoc
from typing import Any


class HubError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message or getdoc(type(self)))
        self.details = details
        """What a program may act on beside the code; goes into `extensions` as it is."""

    def again(self) -> HubError:
        """The same refusal for another request, without the way on which this one came."""
        return type(self)(str(self), **self.details)


class BadUserInput(HubError, ValueError):
    """The request holds a value that the hub cannot take."""


class Unauthenticated(HubError):
    """Sign in first."""


class Forbidden(HubError):
    """You may not do this."""


class NotFound(HubError):
    """There is no such thing, or you may not see it."""


class Conflict(HubError):
    """Somebody changed this before you."""


class QueryTooComplex(HubError):
    """The operation asks for more than one operation may."""


class RateLimited(HubError):
    """Too many requests: wait a moment."""


class Unavailable(HubError):
    """The hub cannot answer just now: try again in a moment."""


class Internal(HubError):
    """The hub failed to answer. The number is in its log."""


CONSTRAINTS: dict[str, tuple[type[HubError], str]] = {}
"""What a constraint's refusal means to the caller, by the constraint's name: domains add theirs."""


def refusal(error: Exception) -> HubError | Exception:
    """A database error as the caller may learn it: a rule of the domain by its constraint's name, a refused right as
    FORBIDDEN; anything else stays what it is, and is nobody's to see. Values never get into a message."""
    known = CONSTRAINTS.get(getattr(error, "constraint_name", None) or "")
    if known is not None:
        kind, message = known
        return kind(message)
    match getattr(error, "sqlstate", None):
        case "42501":
            return Forbidden()
        case "40001" | "40P01" | "55P03":
            return Unavailable("Somebody else is changing the same: try again in a moment.")
    return error


ANSWERS: dict[type[HubError], tuple[str, int]] = {
    BadUserInput: ("BAD_USER_INPUT", 400),
    Unauthenticated: ("UNAUTHENTICATED", 401),
    Forbidden: ("FORBIDDEN", 403),
    NotFound: ("NOT_FOUND", 404),
    Conflict: ("CONFLICT", 409),
    QueryTooComplex: ("QUERY_TOO_COMPLEX", 400),
    RateLimited: ("RATE_LIMITED", 429),
    Unavailable: ("UNAVAILABLE", 503),
    Internal: ("INTERNAL", 500),
}
"""The one table from an error to `extensions.code` and the HTTP status of an answer that holds nothing else."""

STATUS = dict(ANSWERS.values())
"""HTTP status by code."""
