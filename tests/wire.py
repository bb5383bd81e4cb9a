"""A proxy before an S3 gateway: it counts requests, holds them up, or fails them, as a network and a store do."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.gateway import Gateway

_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    """One request as it came in; ``path`` is without its query."""

    method: str
    path: str
    query: str


class Wire:
    """Stands between clients and a gateway; ``endpoint`` is what the clients are told."""

    def __init__(self, gateway: Gateway) -> None:
        self.requests: list[Request] = []
        self.delay_s = 0.0
        self.fails: Callable[[Request], bool] = lambda _: False
        """Which requests are answered with 503 Slow Down."""
        self._gateway = gateway
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        return self._gateway.environment | {"AWS_ENDPOINT_URL": self.endpoint}

    @contextmanager
    def open(self) -> Iterator["Wire"]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def fail_first(self, times: int) -> None:
        """Fail the next requests, and none after."""
        left = iter(range(times))
        self.fails = lambda _: next(left, None) is not None

    def reset(self) -> None:
        """Behave well again, and forget what was asked."""
        self.delay_s, self.fails = 0.0, lambda _: False
        self.requests.clear()

    def answer(self, request: Request, target: str, headers: dict[str, str], body: bytes) -> http.client.HTTPResponse:
        """Pass a request on, or fail it."""
        self.requests.append(request)
        time.sleep(self.delay_s)
        there = http.client.HTTPConnection(self._gateway.host, self._gateway.port, timeout=30)
        there.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            there.putheader(name, value)
        there.endheaders(body)
        return there.getresponse()


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            path, _, query = self.path.partition("?")
            request = Request(self.command, path, query)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if wire.fails(request):
                wire.requests.append(request)
                self._send(503, {}, _SLOW_DOWN)
                return
            try:
                answer = wire.answer(request, self.path, dict(self.headers.items()), body)
                content = answer.read()
            except OSError:  # the gateway is not there: so the wire is dead
                self.close_connection = True
                return
            self._send(answer.status, dict(answer.getheaders()), content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in _HOP and name.lower() != "content-length":
                    self.send_header(name, value)
            length = headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: `requests` has them."""

    return Handler


_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
