"""An S3-compatible server on loopback that remembers what it was asked and can be told to misbehave."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "lab-data"
DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>'
BROKEN = b'<?xml version="1.0"?><Error><Code>InvalidRequest</Code><Message>broken on purpose</Message></Error>'


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    path: str
    query: str
    ranged: tuple[int, int] | None
    """First and last byte asked for."""

    @property
    def bytes_read(self) -> int:
        return 0 if self.ranged is None else self.ranged[1] - self.ranged[0] + 1


@dataclass
class Store:
    """moto's server with a log of requests; ``refuse`` may answer a request with a status and a body instead."""

    server: ThreadedMotoServer
    client: Any
    endpoint: str
    requests: list[Request] = field(default_factory=list)
    refuse: Callable[[Request], tuple[str, bytes] | None] = lambda request: None

    def objects(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def write(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def copy_in(self, folder: Path, prefix: str) -> str:
        for path in folder.rglob("*"):
            if path.is_file():
                self.write(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())
        return f"s3://{BUCKET}/{prefix}"

    def folder(self, prefix: str) -> dict[str, bytes]:
        return {
            key.removeprefix(f"{prefix}/"): self.read(key) for key in self.objects() if key.startswith(f"{prefix}/")
        }

    @contextmanager
    def refusing(self, refuse: Callable[[Request], tuple[str, bytes] | None]) -> Iterator[None]:
        self.refuse = refuse
        try:
            yield
        finally:
            self.refuse = lambda request: None


def _recorded(store: Store, application: Any) -> Any:
    def respond(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        spans = re.fullmatch(r"bytes=(\d+)-(\d+)", environ.get("HTTP_RANGE", ""))
        request = Request(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            query=environ["QUERY_STRING"],
            ranged=(int(spans[1]), int(spans[2])) if spans else None,
        )
        store.requests.append(request)
        refusal = store.refuse(request)
        if refusal is None:
            return application(environ, start_response)
        status, body = refusal
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return [b"" if request.method == "HEAD" else body]

    return respond


@contextmanager
def s3_server() -> Iterator[Store]:
    """A running server with one bucket; the environment of the process points at it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    # All servers of a process hold one state: what earlier tests stored would still be there.
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST"), timeout=10).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("NO_PROXY", "127.0.0.1")
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=BUCKET)
        store = Store(server=server, client=client, endpoint=endpoint)
        assert server._server is not None
        server._server.app = _recorded(store, server._server.app)
        try:
            yield store
        finally:
            server.stop()


def kill_at(store: Store, arguments: list[str], moment: Callable[[Request], bool]) -> None:
    """Run Python and kill it, with no chance to clean up, when the server receives a certain request."""
    reached, release = threading.Event(), threading.Event()

    def hold(request: Request) -> tuple[str, bytes] | None:
        if moment(request):
            reached.set()
            release.wait(60)
        return None

    with store.refusing(hold):
        process = subprocess.Popen([sys.executable, *arguments])
        try:
            assert reached.wait(60)
        finally:
            process.kill()
            process.wait()
            release.set()
