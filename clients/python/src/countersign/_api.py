"""The coordinator's HTTP API: requests out, bounded answers in. Nothing here is believed.

The types are those of the API and are to be generated from its OpenAPI document.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypedDict, TypeVar, cast

import httpx

from .errors import AnswerError, Unreachable, by_status

#: Limit for one request in seconds; longer than any long poll.
REQUEST = 50.0
#: Size limit of answers in bytes; the longest is a list of wallets.
MAX_ANSWER = 64 * 1024 * 1024

#: Limit of nesting in answers. Other packages raise Python's own limit so far that its parser would end the process.
MAX_DEPTH = 100
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)

State = Literal["waiting", "approving", "running", "completed", "rejected", "failed", "expired"]
FINAL: frozenset[str] = frozenset({"completed", "rejected", "failed", "expired"})
STATES: frozenset[str] = FINAL | {"waiting", "approving", "running"}

T = TypeVar("T")

#: A key descriptor with its acknowledgements, as the coordinator tells it.
Descriptor = dict[str, Any]


class Order(TypedDict):
    """The exact text of a task, and the requester's signature in hexadecimal."""

    task: str
    signature: str


class Reason(TypedDict):
    code: str
    message: str
    nodes: list[str]
    plugin: str | None


class TaskSummary(TypedDict):
    id: str
    sequence: int
    revision: int
    state: State
    operation: str
    requester: str
    wallet: str
    submitted: int
    not_after: int
    reason: Reason | None


class TaskView(TaskSummary):
    task: str
    signature: str
    nodes: list[dict[str, Any]]
    result: dict[str, Any] | None
    events: list[dict[str, Any]]


class TaskPage(TypedDict):
    tasks: list[TaskSummary]
    next: int | None


class NodeView(TypedDict):
    id: str
    name: str
    online: bool
    software: str | None
    since: int | None


@dataclass(frozen=True)
class Request:
    """One request; ``body`` is JSON."""

    method: Literal["GET", "POST"]
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None


def submit(order: Order) -> Request:
    """Submits a task. The same bytes may be submitted again."""
    return Request("POST", "/v1/tasks", body={"task": order["task"], "signature": order["signature"]})


def task(id: str, wait: int | None = None, revision: int = 0) -> Request:
    """A task; with ``wait``, once it is past ``revision`` or so many seconds are over."""
    query = {} if wait is None else {"wait": str(wait), "revision": str(revision)}
    return Request("GET", f"/v1/tasks/{id}", query)


def tasks(limit: int, before: int | None) -> Request:
    query = {"limit": str(limit)} | ({} if before is None else {"before": str(before)})
    return Request("GET", "/v1/tasks", query)


def wallets() -> Request:
    return Request("GET", "/v1/wallets")


def wallet(id: str) -> Request:
    return Request("GET", f"/v1/wallets/{id}")


def generations(id: str) -> Request:
    return Request("GET", f"/v1/wallets/{id}/generations")


def nodes() -> Request:
    return Request("GET", "/v1/nodes")


def read(status: int, body: bytes) -> Any:
    """The document of a good answer. Otherwise raises the error that its code names."""
    _check_depth(body)
    try:
        document = json.loads(body)
    except ValueError as error:
        raise _unreadable(f"HTTP status {status}, {error}") from None
    if 200 <= status < 300:
        return document
    # Either {"error": {"code", "message"}} or a problem document (RFC 9457) with a code.
    problem = document.get("error", document) if isinstance(document, dict) else {}
    code = problem.get("code") if isinstance(problem, dict) else None
    if not isinstance(code, str):
        raise _unreadable(f"HTTP status {status}")
    raise by_status(status, code, str(problem.get("message") or problem.get("detail") or problem.get("title")))


def _check_depth(body: bytes) -> None:
    depth = 0
    for token in _TOKEN.finditer(body):
        first = body[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            raise _unreadable(f"it is nested deeper than {MAX_DEPTH}")


def member(document: Any, name: str, kind: type[T]) -> T:
    """A member of an answer, which must be of this type."""
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise AnswerError(
            "answer", f"the coordinator's answer has no good `{name}`; check the URL, and compare the versions"
        )
    return value


def task_view(document: Any) -> TaskView:
    """A task, of which all that is used here is there."""
    for name in ("id", "operation", "requester", "wallet", "task", "signature"):
        member(document, name, str)
    for name in ("revision", "not_after"):
        member(document, name, int)
    if member(document, "state", str) not in STATES:
        raise AnswerError("answer", "the task has a state that is not known here; update this package")
    reason = document.get("reason")
    if reason is not None:
        for name in ("code", "message"):
            member(reason, name, str)
        member(reason, "nodes", list)
    return cast(TaskView, document)


def descriptor(document: Any) -> Descriptor:
    """A key descriptor, of which all that is used here is there. The module reads the rest."""
    for name in ("key", "task"):
        member(document, name, str)
    member(document, "generation", int)
    return cast(Descriptor, document)


class Transport:
    """Requests to one coordinator. Follows no redirect and asks no proxy."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(**_settings(key))

    def perform(self, request: Request) -> Any:
        try:
            with self._http.stream(request.method, self._url + request.path, **_content(request)) as response:
                return read(response.status_code, _bounded(response.iter_bytes(), time.monotonic() + REQUEST))
        except httpx.TransportError as error:
            _unreachable(self._url, error)

    def close(self) -> None:
        self._http.close()


class AsyncTransport:
    """The same for asyncio."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.AsyncClient(**_settings(key))

    async def perform(self, request: Request) -> Any:
        try:
            async with self._http.stream(request.method, self._url + request.path, **_content(request)) as response:
                body = await _bounded_async(response.aiter_bytes(), time.monotonic() + REQUEST)
                return read(response.status_code, body)
        except httpx.TransportError as error:
            _unreachable(self._url, error)

    async def close(self) -> None:
        await self._http.aclose()


def _settings(key: str) -> dict[str, Any]:
    return {
        "headers": {"authorization": f"Bearer {key}", "accept-encoding": "identity"},
        "timeout": REQUEST,
        "follow_redirects": False,
        "trust_env": False,
    }


def _content(request: Request) -> dict[str, Any]:
    content: dict[str, Any] = {"params": request.query} if request.query else {}
    return content if request.body is None else content | {"json": request.body}


def _bounded(chunks: Iterator[bytes], until: float) -> bytes:
    body = bytearray()
    for chunk in chunks:
        _append(body, chunk, until)
    return bytes(body)


async def _bounded_async(chunks: AsyncIterator[bytes], until: float) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        _append(body, chunk, until)
    return bytes(body)


def _append(body: bytearray, chunk: bytes, until: float) -> None:
    body += chunk
    if time.monotonic() > until:
        raise httpx.ReadTimeout(f"the answer takes longer than {REQUEST:.0f} s")
    if len(body) > MAX_ANSWER:
        raise _unreadable(f"it is longer than {MAX_ANSWER} bytes")


def _unreachable(url: str, error: httpx.TransportError) -> NoReturn:
    sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol))
    raise Unreachable(url, str(error) or type(error).__name__, sent) from None


def _unreadable(reason: str) -> AnswerError:
    return AnswerError(
        "answer",
        f"the coordinator's answer cannot be read ({reason}); check the URL, and update the older of the two programs",
    )
