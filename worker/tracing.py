"""Traces: a span a run, one an attempt of a chunk, one an invocation, the last passed on to the
Lambda. Off unless asked for; then `SilentTracer` stands here, and costs nothing.

Where they go, how many of them and under which name is said by OpenTelemetry's own variables:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import worker
from worker.errors import ConfigurationError

SERVICE = "sentiment-worker"

Attributes = Mapping[str, str | int | float | bool]


class _SilentSpan:
    trace_header: str | None = None
    trace_id: str | None = None

    def note(self, attributes: Attributes) -> None:
        pass

    def failed(self, code: str) -> None:
        pass


class SilentTracer:
    """`worker.ports.Tracer` for those who did not ask."""

    _span = nullcontext(_SilentSpan())

    def span(self, name: str, attributes: Attributes, *, calls: bool = False) -> Any:
        return self._span

    def close(self) -> None:
        pass


class OtlpTracer:
    """`worker.ports.Tracer` that sends spans by OTLP over HTTP, in batches, beside the work."""

    def __init__(self) -> None:
        """Raises ConfigurationError where the extra `traces` is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ConfigurationError(
                f"OpenTelemetry is not installed ({error.name} is missing).",
                hint="Run: pip install 'sentiment-worker[traces]', or set SENTIMENT_TRACES=off",
            ) from error
        about = Resource.create({"service.name": SERVICE, "service.version": worker.__version__})
        named = OTELResourceDetector().detect()  # OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
        self._provider = TracerProvider(resource=about.merge(named))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(SERVICE, worker.__version__)

    @contextmanager
    def span(
        self, name: str, attributes: Attributes, *, calls: bool = False
    ) -> Iterator[_OtlpSpan]:
        from opentelemetry.trace import SpanKind

        kind = SpanKind.CLIENT if calls else SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            # An exception's message may quote what it was about: only its type leaves the house.
            name, kind=kind, attributes=attributes,
            record_exception=False, set_status_on_exception=False,
        ) as started:  # fmt: skip
            span = _OtlpSpan(started)
            try:
                yield span
            except Exception as error:
                span.failed(type(error).__name__)
                raise

    def close(self) -> None:
        """Sends what is left; waits for the collector a few seconds at most."""
        self._provider.shutdown()


class _OtlpSpan:
    def __init__(self, span: Any) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def trace_header(self) -> str | None:
        """`X-Amzn-Trace-Id`, with which Lambda goes on with this trace.

        https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
        """
        from opentelemetry.propagators.aws import AwsXRayPropagator

        carrier: dict[str, str] = {}
        AwsXRayPropagator().inject(carrier)
        return carrier.get("X-Amzn-Trace-Id")

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def failed(self, code: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_status(StatusCode.ERROR, code)
