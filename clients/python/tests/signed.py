"""A coordinator that takes signed requests only. Python's cryptography judges them, by docs/api-authentication.md."""

from __future__ import annotations

import hashlib
import io
import re
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stream import Feed, problem

PAGE = (Path(__file__).parents[3] / "docs" / "api-authentication.md").read_text()
EXAMPLE = PAGE.split("### Example")[1].split("\n## ")[0]
#: The key and the coordinator of the page's example.
KEY = re.findall(r"csr-secret1\w+", EXAMPLE)[0]
COORDINATOR = re.findall(r"csc1\w+", EXAMPLE)[0]
REQUESTER = re.findall(r"csr1\w+", EXAMPLE)[0]
PUBLIC = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()


class SignedFeed(Feed):
    def __init__(self, *streams: Any, **options: Any) -> None:
        super().__init__(*streams, **options)
        self.nonces: set[str] = set()
        #: Refusals that come first, with what is otherwise right.
        self.first: list[Any] = []

    def refusal(self, method: str, target: str, headers: Any, body: bytes) -> Any:
        """What is wrong with a request; nothing if it is accepted."""
        if "authorization" in headers or headers["countersign-requester"] != REQUESTER:
            return problem(401, "unauthorised")
        path, _, query = target.partition("?")
        at, nonce, told = (headers[f"countersign-{name}"] for name in ("time", "nonce", "content-sha256"))
        lines = ["countersign/2 http request", COORDINATOR, method, path, query, told, at, nonce]
        try:
            PUBLIC.verify(bytes.fromhex(headers["countersign-signature"]), "\n".join(lines).encode())
        except InvalidSignature:
            return problem(401, "unauthorised")
        if abs(time.time() * 1000 - int(at)) > 5000:
            return problem(401, "request-time")
        if nonce in self.nonces or not re.fullmatch("[A-Za-z0-9_-]{16,64}", nonce):
            return problem(401, "request-repeated")
        self.nonces.add(nonce)
        if told != hashlib.sha256(body).hexdigest():
            return problem(401, "request-body")
        return self.first.pop(0) if self.first else None

    def _handler(feed) -> type[BaseHTTPRequestHandler]:
        plain: Any = super()._handler()

        class Handler(plain):  # type: ignore[misc]
            def do_GET(self) -> None:
                self.judged(super().do_GET)

            def do_POST(self) -> None:
                self.judged(super().do_POST)

            def judged(self, act: Any) -> None:
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                self.rfile = io.BytesIO(body)
                refusal = feed.refusal(self.command, self.path, self.headers, body)
                self.answer(*refusal) if refusal else act()

        return Handler
