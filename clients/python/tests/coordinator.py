"""The coordinator of a case of forgeries.json: it has the case's answers, and every order ends with the case's result."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def coordinator(answers: dict[str, Any], result: Any, ended: dict[str, Any] | None = None) -> Iterator[str]:
    """Serves until the end of the block, and gives the URL. ``ended``: other members of the views of orders."""
    views: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            known = answers.get(path, views.get(path))
            if known is not None:
                self.answer(200, known)
            else:
                self.answer(404, {"error": {"code": "not-found", "message": "there is no such thing"}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            view = carried_out(body, result) | (ended or {})
            views[f"/v1/tasks/{view['id']}"] = view
            self.answer(201, view)

        def answer(self, status: int, document: Any) -> None:
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def carried_out(body: dict[str, Any], result: Any) -> dict[str, Any]:
    """The view of an order for a signature that has been carried out."""
    task = json.loads(body["task"])
    return {
        "id": task["id"],
        "sequence": 1,
        "revision": 1,
        "state": "completed",
        "operation": "KeySign",
        "requester": task["requester"],
        "wallet": task["operation"]["key-sign"]["key"],
        "submitted": task["created"],
        "not_after": task["not_after"],
        "reason": None,
        "task": body["task"],
        "signature": body["signature"],
        "nodes": [],
        "result": result,
        "events": [],
    }
