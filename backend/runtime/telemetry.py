"""Traces by OpenTelemetry: of requests, units of work, and the batches that take records to the ledger.

Only where an operator names who collects them (``OTEL_EXPORTER_OTLP_ENDPOINT``); otherwise none of its packages is
imported. They hold no names of people, no texts of records, and no values of statements.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, event

from backend.services.ports import NoteAttributes
from backend.settings import WrongSetting

if TYPE_CHECKING:  # an extra
    from flask import Flask, Response
    from opentelemetry.sdk.trace.export import SpanExporter

MOST_FLUSH_MILLISECONDS = 3_000
"""How long a process that stops waits for its last spans to be taken."""


class Traces:
    """Makes spans and hands them to an exporter.

    Raises:
        WrongSetting: if OpenTelemetry's packages are not installed.
    """

    def __init__(self, version: str, exporter: "SpanExporter | None" = None) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise WrongSetting(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed here: install "
                "provenport[telemetry], or leave it out"
            ) from error
        # Beneath what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say.
        given = Resource({"service.name": "provenport", "service.version": version})
        self.provider: TracerProvider = TracerProvider(resource=given.merge(Resource.create()))
        self.provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self.provider.get_tracer("provenport", version)
        self._units: WeakKeyDictionary[Connection, list[Any]] = WeakKeyDictionary()
        """Of each connection that is in a transaction: its span, and the number of its statements."""

    @contextmanager
    def span(self, name: str) -> Iterator[NoteAttributes]:
        """Implement the port ``Trace``."""
        with self._tracer.start_as_current_span(name) as span:
            yield lambda attributes: span.set_attributes(dict(attributes))

    def close(self) -> None:
        """Send what is left, for at most ``MOST_FLUSH_MILLISECONDS``."""
        self.provider.force_flush(MOST_FLUSH_MILLISECONDS)
        self.provider.shutdown()

    # Units of work

    def of_units(self, engine: Engine) -> None:
        """Trace every transaction on a database."""
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "commit", lambda connection: self._end(connection, "commit"))
        event.listen(engine, "rollback", lambda connection: self._end(connection, "rollback"))
        event.listen(engine, "after_cursor_execute", self._count)

    def _begin(self, connection: Connection) -> None:
        options = connection.get_execution_options()
        # Advisory locks and listeners keep their connections for hours.
        if options.get("isolation_level") == "AUTOCOMMIT":
            return
        span = self._tracer.start_span("unit of work", attributes={"db.system.name": connection.dialect.name})
        # Not in ``connection.info``: asked of one that was cut off, it would connect again.
        self._units[connection] = [span, 0]

    def _count(self, connection: Connection, *_: Any) -> None:
        if (begun := self._units.get(connection)) is not None:
            begun[1] += 1

    def _end(self, connection: Connection, outcome: str) -> None:
        if (begun := self._units.pop(connection, None)) is not None:
            span, statements = begun
            span.set_attributes({"provenport.outcome": outcome, "provenport.statements": statements})
            span.end()

    # Requests

    def of_requests(self, app: "Flask") -> None:
        """Trace every request, with its units of work beneath it. What a client says of a trace is not taken over."""
        from flask import g, request
        from opentelemetry import context, trace

        def begin() -> None:
            route = request.url_rule.rule if request.url_rule is not None else "unknown"
            attributes = {
                "http.request.method": request.method,
                "http.route": route,
                "provenport.request_id": g.request_id,
            }
            # Of a root of its own: a thread serves many requests.
            g.span = self._tracer.start_span(
                f"{request.method} {route}", context.Context(), trace.SpanKind.SERVER, attributes
            )
            g.span_token = context.attach(trace.set_span_in_context(g.span))

        def answer(response: "Response") -> "Response":
            if "span" in g:
                g.span.set_attribute("http.response.status_code", response.status_code)
                # The record that was made, by which its batch is found.
                if response.status_code == 201 and response.is_json and not response.is_streamed:
                    made = response.get_json(silent=True)
                    if isinstance(made, dict) and isinstance(made.get("id"), str):
                        g.span.set_attribute("provenport.created", made["id"])
            return response

        def end(error: BaseException | None) -> None:
            if "span" in g:
                if error is not None:
                    g.span.record_exception(error)
                context.detach(g.pop("span_token"))
                g.pop("span").end()

        app.before_request(begin)
        app.after_request(answer)
        app.teardown_request(end)
