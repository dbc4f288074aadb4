"""The API put together: what the county's hub can be asked. DOMAINS is the product's table of contents."""

from __future__ import annotations

from typing import Any

from strawberry.schema.config import StrawberryConfig
from strawberry.tools import create_type

from schema import (
    areas,
    demonstration,
    fleet,
    fleet_stats,
    incident_stats,
    incidents,
    journal,
    landmarks,
    patrols,
    people,
    photos,
)
from schema.compiler import vocabulary
from schema.compiler.execution import CompiledSchema
from schema.compiler.nodes import node
from schema.scalars import SCALARS

DOMAINS: tuple[Any, ...] = (
    areas,
    landmarks,
    people,
    incidents,
    incident_stats,
    photos,
    fleet,
    fleet_stats,
    patrols,
    journal,
    demonstration,
)
"""Each a module with `ROOTS`, and with `MUTATIONS`, `SUBSCRIPTIONS` and `RULES` where it has any."""


def _build() -> CompiledSchema:
    vocabulary.build()
    query = create_type(
        "Query",
        [*(vocabulary.complete_root(root) for domain in DOMAINS for root in domain.ROOTS), node()],
        description="What the hub can be asked. Every read below is answered by one SQL statement.",
    )
    mutation = create_type(
        "Mutation",
        [field for domain in DOMAINS for field in getattr(domain, "MUTATIONS", ())],
        description="What the hub can be told. The mutations of an operation run one after the other.",
    )
    subscription = create_type(
        "Subscription",
        [field for domain in DOMAINS for field in getattr(domain, "SUBSCRIPTIONS", ())],
        description="What the hub tells by itself, over a websocket or as server-sent events.",
    )
    rules = [rule for domain in DOMAINS for rule in getattr(domain, "RULES", ())]
    return CompiledSchema(
        rules,
        query=query,
        mutation=mutation,
        subscription=subscription,
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=False),
    )


schema: CompiledSchema = _build()
"""The one schema of the hub."""
