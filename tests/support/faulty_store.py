"""A proxy on loopback before an S3 server that answers as stores do on a bad day.

It speaks HTTP/1.1 over sockets, because what a library does with half a body or a closed connection cannot be had from
a server that finishes its answers.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
    "<RequestId>1AB2C3D4E5F60708</RequestId><HostId>abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOP=</HostId>"
    "</Error>"
)
ANSWERS = {
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "429": (429, "TooManyRequests", "Please reduce your request rate."),
    "403": (403, "AccessDenied", "Access Denied"),
    "404": (404, "NoSuchKey", "The specified key does not exist."),
}
KINDS = ("500", "503", "429", "drop", "truncate", "delay")
"""Faults that pass; the connection is closed before the answer, in the middle of its body, or the answer is late."""
DELAY_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request: its method, path, and the range that it asks for."""

    method: str
    path: str
    ranged: str


@dataclass
class FaultyStore:
    """The proxy; ``fault`` names what is done to a request, one of :data:`KINDS` or :data:`ANSWERS`, or nothing."""

    endpoint: str
    asked: list[Asked] = field(default_factory=list)
    fault: Callable[[Asked], str | None] = lambda asked: None

    @contextmanager
    def failing(self, fault: Callable[[Asked], str | None]) -> Iterator[list[str]]:
        """Misbehave for a while; yields what was done, as it is done."""
        done: list[str] = []
        lock = threading.Lock()

        def chosen(asked: Asked) -> str | None:
            with lock:
                kind = fault(asked)
                done.extend([] if kind is None else [kind])
                return kind

        self.fault = chosen
        try:
            yield done
        finally:
            self.fault = lambda asked: None


def times(count: int, kind: str, path_end: str, method: str = "GET") -> Callable[[Asked], str | None]:
    """The first ``count`` requests of a method for a path that ends so meet a fault."""
    left = [count]

    def fault(asked: Asked) -> str | None:
        if left[0] and asked.method == method and asked.path.endswith(path_end):
            left[0] -= 1
            return kind
        return None

    return fault


def _handler(store: FaultyStore, behind: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self) -> None:
            body = self._body()
            asked = Asked(method=self.command, path=urlsplit(self.path).path, ranged=self.headers.get("Range", ""))
            store.asked.append(asked)
            kind = store.fault(asked)
            if kind == "drop":
                self.close_connection = True
                return
            if kind == "delay":
                time.sleep(DELAY_SECONDS)
            if kind in ANSWERS:
                status, code, message = ANSWERS[kind]
                self._answer(
                    status, {"Content-Type": "application/xml"}, ERROR.format(code=code, message=message).encode()
                )
                return
            connection = http.client.HTTPConnection(behind, timeout=60)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, {**kept, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            data = answer.read()
            headers = {
                name: value
                for name, value in answer.getheaders()
                if name.lower() not in HOP_BY_HOP or name.lower() == "content-length"
            }
            self._answer(answer.status, headers, data, cut=kind == "truncate")
            connection.close()

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts: list[bytes] = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)

        def _answer(self, status: int, headers: dict[str, str], data: bytes, cut: bool = False) -> None:
            self.send_response_only(status)
            lengths = {name.lower(): value for name, value in headers.items()}
            for name, value in headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            length = lengths.get("content-length", "0") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = self.close_connection or cut

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    return Handler


HOP_BY_HOP = ("content-length", "expect", "connection", "transfer-encoding", "keep-alive", "date", "server")


@contextmanager
def faulty_store(endpoint: str) -> Iterator[FaultyStore]:
    """A running proxy before the server at ``endpoint``; the environment of the process points at the proxy."""
    store = FaultyStore(endpoint="")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store, urlsplit(endpoint).netloc))
    server.daemon_threads = True
    store.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", store.endpoint)
            yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
