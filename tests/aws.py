"""An AWS on loopback that remembers who called: moto's server for Parameter Store, Secrets Manager
and S3, and in front of it what moto has not: an Invoke that answers, STS, and the ways in which
credentials come (web identity, container, instance metadata), with keys that expire.

Point AWS_ENDPOINT_URL at `url`. A call signed with keys that have expired is refused as AWS does.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs

from moto.server import ThreadedMotoServer

_SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
ROLE = "arn:aws:iam::123456789012:role/scorer"


class Caller(NamedTuple):
    """Of one request: the service, whose key signed it, and for which region."""

    service: str
    key: str
    region: str


class Aws:
    """`lifetime_s`: how long the keys live that it hands out."""

    def __init__(self, *, lifetime_s: float = 3600.0, answer_after_s: float = 0.0) -> None:
        self.callers: list[Caller] = []
        self.lifetime_s = lifetime_s
        self.answer_after_s = answer_after_s
        self._issued: dict[str, float] = {}
        self._moto = ThreadedMotoServer("127.0.0.1", 0)
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"aws": self})
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._moto.start()
        self.moto = self._moto.get_host_and_port()
        self._reset_moto()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._moto.stop()

    def _reset_moto(self) -> None:
        """Its state is the process's: what an earlier server was told is still there."""
        connection = http.client.HTTPConnection(*self.moto, timeout=30)
        connection.request("POST", "/moto-api/reset")
        assert connection.getresponse().status == 200
        connection.close()

    def keys_of(self, service: str) -> set[str]:
        return {caller.key for caller in self.callers if caller.service == service}

    def issue(self) -> dict[str, str]:
        """New keys, as the container and instance endpoints give them."""
        key, until = f"ASIA{len(self._issued):04}", time.time() + self.lifetime_s
        self._issued[key] = until
        expiration = datetime.now(UTC) + timedelta(seconds=self.lifetime_s)
        return {
            "Code": "Success",
            "AccessKeyId": key,
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": f"{expiration:%Y-%m-%dT%H:%M:%SZ}",
        }

    def has_expired(self, key: str) -> bool:
        return key in self._issued and self._issued[key] < time.time()


class _Handler(BaseHTTPRequestHandler):
    aws: Aws
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        scope = _SCOPE.search(self.headers.get("authorization", ""))
        caller = Caller(scope[3], scope[1], scope[2]) if scope else None
        if caller:
            self.aws.callers.append(caller)
        if caller and self.aws.has_expired(caller.key):
            self._send(403, b'{"__type": "ExpiredTokenException", "Message": "expired"}',
                       {"x-amzn-errortype": "ExpiredTokenException"})  # fmt: skip
        elif self.path.startswith("/latest/"):
            self._instance()
        elif self.path == "/container":
            self._send(200, json.dumps(self.aws.issue()).encode())
        elif caller and caller.service == "lambda":
            self._invoke(body)
        elif b"Action=" in body and b"WebIdentity" in body:
            self._web_identity(body)
        elif caller and caller.service == "sts":
            self._send(200, _IDENTITY.format(key=caller.key).encode())
        else:
            self._forward(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _answer  # noqa: N815

    def _instance(self) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"""
        if self.command == "PUT":
            self._send(200, b"session")
        elif self.headers.get("x-aws-ec2-metadata-token") != "session":
            self._send(401, b"")
        elif self.path.endswith("/security-credentials/"):
            self._send(200, b"scorer")
        else:
            self._send(200, json.dumps(self.aws.issue()).encode())

    def _web_identity(self, body: bytes) -> None:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"""
        asked = parse_qs(body.decode())
        assert asked["RoleArn"] == [ROLE]
        assert asked["WebIdentityToken"] == ["a token of the cluster"]
        self._send(200, _ASSUMED.format(**self.aws.issue()).encode())

    def _invoke(self, body: bytes) -> None:
        if self.headers.get("x-amz-invocation-type") == "DryRun":
            self._send(204, b"")
            return
        time.sleep(self.aws.answer_after_s)
        texts = json.loads(body)["texts"]
        results = [{"sentiment": "positive", "score": 0.9} for _ in texts]
        said = {"results": results, "count": len(results)}
        self._send(200, json.dumps({"statusCode": 200, "body": said}).encode())

    def _forward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(*self.aws.moto, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            kept = ("content-type", "etag", "last-modified", "x-amzn-errortype")
            headers = {k: v for k, v in answer.getheaders() if k.lower() in kept}
            self._send(answer.status, answer.read(), headers)
        finally:
            connection.close()

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


_IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Arn>arn:aws:sts::123456789012:assumed-role/scorer/{key}</Arn>
<UserId>{key}</UserId><Account>123456789012</Account></GetCallerIdentityResult>
</GetCallerIdentityResponse>"""
_ASSUMED = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{AccessKeyId}</AccessKeyId>
<SecretAccessKey>{SecretAccessKey}</SecretAccessKey><SessionToken>{Token}</SessionToken>
<Expiration>{Expiration}</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
