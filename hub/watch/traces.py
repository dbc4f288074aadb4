"""Traces for an OpenTelemetry collector, where OTEL_EXPORTER_OTLP_ENDPOINT names one; without it nothing is imported.

Spans say what took how long: the door, the operation's name, its code, a statement's fingerprint and scope. They hold
no value, and no exception's message, which could.
"""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger(__name__)

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

_NOTHING: nullcontext[Any] = nullcontext()


class _Traces:
    tracer: Tracer | None = None
    provider: TracerProvider | None = None


def start() -> None:
    """Begin to send spans, if the environment says where to. The other OTEL_ variables are the exporter's own."""
    if not os.environ.get(ENDPOINT) or _Traces.provider is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning(
            "%s is set, but its packages are not installed: .venv/bin/pip install --require-hashes -r "
            "requirements/telemetry.txt",
            ENDPOINT,
        )
        return
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "kisumu-hub"}
    _Traces.provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    _Traces.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _Traces.tracer = _Traces.provider.get_tracer("hub")


def stop() -> None:
    """Send what is left. Blocks for as long as the exporter may take."""
    if _Traces.provider is not None:
        _Traces.provider.shutdown()
        _Traces.provider = _Traces.tracer = None


def tracing() -> bool:
    """Whether spans go anywhere."""
    return _Traces.tracer is not None


def span(name: str) -> AbstractContextManager[Span | None]:
    """A span around a block, inside of the one that is open; None where nothing is traced."""
    if _Traces.tracer is None:
        return _NOTHING
    return _Traces.tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)
