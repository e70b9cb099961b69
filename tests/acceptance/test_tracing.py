"""Traces as a collector receives them: OTLP over HTTP, from the installed command."""

from __future__ import annotations

import base64
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.acceptance.command import Shell
from tests.integration.test_local_lambda import client_of
from tests.scripted_lambda import ScriptedLambda, aws_error, scored
from worker.tracing import OtlpTracer

TRACE_HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class Collector:
    """Where spans go: an OTLP endpoint that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.service = ""

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.service = named["service.name"]
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            collector.take(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield collector, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _noted(span: Span) -> dict[str, Any]:
    return {
        a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value")
        for a in span.attributes
    }


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    (tmp_path / "reviews.csv").write_text("id,text\n1,a good day\n2,a secret bad night\n")
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        SENTIMENT_CHUNK_TEXTS="1",
        SENTIMENT_TRACES="otlp",
    )


def test_a_run_its_chunks_and_their_invocations(
    shell: Shell, scripted_lambda: ScriptedLambda
) -> None:
    scripted_lambda.script = lambda request, n: (
        aws_error(500, "ServiceException") if n == 0 else scored(request)
    )
    with collecting() as (collector, url):
        done = shell("once", "reviews.csv", OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert done.code == 0, done.err
    (run,) = collector.named("run")
    chunks, invocations = collector.named("chunk"), collector.named("invocation")
    assert collector.service == "sentiment-worker"
    assert (_noted(run)["sentiment.source"], _noted(run)["sentiment.run.state"]) == (
        "reviews",
        "done",
    )
    assert _noted(run)["sentiment.records.scored"] == 2
    assert not run.parent_span_id
    # Two chunks of one text, and the one that failed once more.
    assert [chunk.parent_span_id for chunk in chunks] == [run.span_id] * 3
    assert sorted(call.parent_span_id for call in invocations) == sorted(
        chunk.span_id for chunk in chunks
    )
    became = sorted(_noted(chunk)["sentiment.chunk.became"] for chunk in chunks)
    assert became == ["done", "done", "retry"]
    failed = [call for call in invocations if call.status.code == Status.STATUS_CODE_ERROR]
    assert [call.status.message for call in failed] == ["ServiceException"]
    assert {call.kind for call in invocations} == {Span.SPAN_KIND_CLIENT}
    # Each request carried its own span's id: the Lambda's spans become its children.
    sent = {f"Parent={call.span_id.hex()}" for call in invocations}
    root = f"Root=1-{run.trace_id.hex()[:8]}-{run.trace_id.hex()[8:]}"
    headers = [headers["X-Amzn-Trace-Id"].split(";") for headers in scripted_lambda.headers]
    assert {parent for _, parent, _ in headers} == sent
    assert {(first, sampled) for first, _, sampled in headers} == {(root, "Sampled=1")}
    assert f'"trace_id": "{run.trace_id.hex()}"' in done.err
    assert "secret" not in str(collector.spans)


def test_who_does_not_ask_sends_nothing(shell: Shell, scripted_lambda: ScriptedLambda) -> None:
    with collecting() as (collector, url):
        done = shell("once", "reviews.csv", OTEL_EXPORTER_OTLP_ENDPOINT=url, SENTIMENT_TRACES="off")
    assert done.code == 0, done.err
    assert not collector.spans
    assert all("X-Amzn-Trace-Id" not in headers for headers in scripted_lambda.headers)


def test_a_collector_that_is_away_costs_no_record(shell: Shell) -> None:
    done = shell("once", "reviews.csv", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert done.code == 0, done.err
    assert "2 scored by the model" in done.err


def test_of_an_exception_only_its_type_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as (collector, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        tracer = OtlpTracer()
        with pytest.raises(ValueError), tracer.span("run", {}):
            raise ValueError("a secret bad night")
        tracer.close()
    assert collector.spans[0].status.message == "ValueError"
    assert "secret" not in str(collector.spans)


def test_names_from_opentelemetrys_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "reviews-in-prod")
    with collecting() as (collector, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        tracer = OtlpTracer()
        with tracer.span("run", {}):
            pass
        tracer.close()
    assert collector.service == "reviews-in-prod"


def test_the_local_lambda_hands_the_trace_on(local_lambda: str) -> None:
    client = client_of(local_lambda)
    client.meta.events.register(
        "before-call.lambda.Invoke",
        lambda params, **_: params["headers"].update({"X-Amzn-Trace-Id": TRACE_HEADER}),
    )
    response = client.invoke(
        FunctionName="sentiment", Payload=b'{"texts": ["I love this!"]}', LogType="Tail"
    )
    response["Payload"].read()
    client.close()
    tail = base64.b64decode(response["LogResult"]).decode()
    assert '"xray_trace_id":"1-5759e988-bd862e3fe1be46a994272793"' in tail
