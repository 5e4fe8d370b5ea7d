"""A coordinator whose feed is a script: each request for a stream is answered by the next entry of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


def event(cursor: int, type: str = "task.completed", **data: Any) -> dict[str, Any]:
    return {"id": f"evt_{cursor:032x}", "cursor": str(cursor), "type": type, "at": 1, "data": data or {"webhook": "x"}}


def frame(told: dict[str, Any]) -> bytes:
    return f"id: {told['cursor']}\nevent: {told['type']}\ndata: {json.dumps(told)}\n\n".encode()


def problem(status: int, code: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    document = {"title": "no", "status": status, "detail": "not so; do otherwise", "code": code}
    return status, document, {name.replace("_", "-"): value for name, value in headers.items()}


class Feed:
    """``streams``: what each connection sends, in pieces, before it is closed; a status with a document; or a call. ``hold``
    keeps a connection open. ``answers``: other paths."""

    def __init__(self, *streams: Any, answers: dict[str, Any] | None = None, hold: bool = True) -> None:
        self.streams = list(streams)
        self.answers = answers or {}
        self.hold = hold
        #: Every request: path, query, Last-Event-ID.
        self.asked: list[tuple[str, dict[str, str], str | None]] = []
        self.over = threading.Event()

    def asked_for(self, path: str) -> list[tuple[dict[str, str], str | None]]:
        return [(query, last) for asked, query, last in self.asked if asked == path]

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[str]:
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            self.over.set()
            server.shutdown()
            server.server_close()

    def _handler(feed) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                feed.asked.append((url.path, dict(parse_qsl(url.query)), self.headers["last-event-id"]))
                if url.path == "/v1/events" and self.headers["accept"] == "text/event-stream":
                    return self.stream(feed.streams.pop(0) if feed.streams else [])
                answer = feed.answers.get(url.path)
                self.answer(*(answer(dict(parse_qsl(url.query))) if callable(answer) else answer or problem(404, "no-such-path")))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self.answer(201, feed.answers["POST"](body))

            def stream(self, script: Any) -> None:
                if isinstance(script, tuple):
                    return self.answer(*script)
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                for piece in script() if callable(script) else script:
                    self.wfile.write(piece)
                    self.wfile.flush()
                if feed.hold and not feed.streams:
                    feed.over.wait(20)

            def answer(self, status: int, document: Any, headers: dict[str, str] = {}) -> None:
                content = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def wait_for(condition: Callable[[], Any]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")
