"""The coordinator's HTTP API: requests out, bounded answers in. Nothing here is believed."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import quote

import httpx

from . import _text
from ._access import Access
from ._wire import Deadline, Wire
from .errors import AnswerError, CountersignError, FileError, Unavailable, Unreachable, by_status
from .schema import OPERATIONS, SHAPES, KeyDescriptor, Submission, TaskSummary, Vote

T = TypeVar("T")
R = TypeVar("R", bound=httpx.Response)

#: Limit for one request in seconds, from connecting to the last byte of the answer; longer than any long poll.
REQUEST = 50.0
#: A stream that is silent for so many seconds is dead: the coordinator sends a comment every 15 s.
SILENCE = 45.0
#: Size limit of answers in bytes; the longest is a page of wallets.
MAX_ANSWER = 64 * 1024 * 1024

#: The longest pause in seconds that a coordinator can ask for.
LONGEST = 30.0

#: Limit of nesting in answers. Other packages raise Python's own limit so far that its parser would end the process.
MAX_DEPTH = 100
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)

#: The states of a task of which nothing more is expected. A word that is not known here is none of them.
FINAL: frozenset[str] = frozenset({"completed", "rejected", "failed", "expired", "cancelled"})
STATES: frozenset[str] = FINAL | {"pending", "waiting", "approving", "running"}


def has_ended(view: TaskSummary) -> bool:
    """True if nothing more is expected of a task, whether or not its state is known here."""
    state = view["state"]
    return state in FINAL or (state not in STATES and view.get("ended") is not None)


_SCALARS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True)
class Request:
    """One request; ``body`` is JSON. ``answer``: the object that it is answered with. ``until``: its deadline by
    ``time.monotonic``, if that is sooner than the limit of every request."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    answer: str | None = None
    until: float | None = None


def request(operation: str, /, *place: str, body: Any = None, **query: str | int | None) -> Request:
    """An operation of the API by its name. ``place``: what stands in its path."""
    method, path, answer, known = OPERATIONS[operation]
    given = {name: str(value) for name, value in query.items() if value is not None}
    if not given.keys() <= set(known):
        raise KeyError(f"{operation} has no {given.keys() - set(known)}")
    for one in place:
        path = re.sub(r"\{\w+\}", lambda _: quote(one, safe=""), path, count=1)
    return Request(method, path, given, {}, body, answer)


def submit(order: Submission) -> Request:
    """Submits a task. The same bytes may be submitted again."""
    return request("submitTask", body={"task": order["task"], "signature": order["signature"]})


def task(id: str, wait: int | None = None, revision: int | None = None) -> Request:
    """A task; with ``wait``, once it is past ``revision`` or so many seconds are over."""
    return request("showTask", id, wait=wait, revision=revision)


def votes(id: str) -> Request:
    """The votes on a task. The module reads them, since those of later versions must not hide the others."""
    return replace(request("listVotes", id), answer=None)


def vote(id: str, vote: Vote) -> Request:
    """Hands in a vote. The same one may be handed in again."""
    return replace(request("voteOnTask", id, body=vote), answer=None)


def published_webhook_keys() -> Request:
    """The keys of deliveries, which the coordinator tells everybody, whatever their scopes."""
    return Request("GET", "/.well-known/jwks.json", answer="WebhookKeys")


def events(selected: Mapping[str, str], after: str | None, wait: int | None) -> Request:
    """A page of the feed behind a cursor, waited for. Without one, the oldest page that is kept."""
    return request("readEvents", after=after, wait=wait, **selected)


def stream(selected: Mapping[str, str], after: str, last: str | None) -> Request:
    """A stream of the feed behind ``after``, or behind the last event of the stream before."""
    asked = request("readEvents", after=after if last is None else None, **selected)
    asked.headers["accept"] = "text/event-stream"
    if last is not None:
        asked.headers["last-event-id"] = last
    return asked


def read(status: int, body: bytes, answer: str | None, retry_after: str | None = None) -> Any:
    """The document of a good answer, which is this object. Otherwise raises the error that its code names."""
    if status == 204:
        return None
    document = parse(body, f"HTTP status {status}")
    if 200 <= status < 300:
        if answer is not None:
            check(document, answer)
        return document
    # Either {"error": {"code", "message"}} or a problem document (RFC 9457) with a code.
    problem = document.get("error", document) if isinstance(document, dict) else {}
    code = problem.get("code") if isinstance(problem, dict) else None
    if not isinstance(code, str):
        raise unreadable(f"HTTP status {status}")
    raise by_status(status, code, _words(problem), pause(retry_after))


def _words(problem: dict[str, Any]) -> str:
    return str(problem.get("message") or problem.get("detail") or problem.get("title"))


def pause(retry_after: str | None) -> float | None:
    """The seconds of a header ``Retry-After``, bounded. A date is not looked at."""
    if retry_after is None or re.fullmatch("[0-9]+", retry_after) is None:
        return None
    return min(float(retry_after), LONGEST)


def asked_pause(error: CountersignError, least: float) -> float:
    """The time before the next attempt: as the coordinator asks, but not less than this."""
    told = error.retry_after if isinstance(error, Unavailable) else None
    return max(told or 0.0, least)


def parse(body: bytes, where: str) -> Any:
    """A document that is not nested too deeply, with its texts cleaned."""
    _check_depth(body)
    try:
        document = json.loads(body)
    except ValueError as error:
        raise unreadable(f"{where}, {error}") from None
    escapes = b"\\" in body or b"\x7f" in body
    return _text.told(document) if escapes or not body.isascii() else document


def _check_depth(body: bytes) -> None:
    depth = 0
    for token in _TOKEN.finditer(body):
        first = body[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            raise unreadable(f"it is nested deeper than {MAX_DEPTH}")


def check(value: Any, shape: str, name: str = "document") -> None:
    """Compares a part of an answer with its shape. Members and words that are not known here are let through."""
    if shape == "any" or (shape.startswith("?") and value is None):
        return
    shape = shape.removeprefix("?")
    if shape.startswith("[]"):
        if not isinstance(value, list):
            raise _bad(name)
        for one in value:
            check(one, shape[2:], name)
    elif shape in _SCALARS:
        if not isinstance(value, _SCALARS[shape]) or (isinstance(value, bool) and shape != "boolean"):
            raise _bad(name)
    elif not isinstance(value, dict):
        raise _bad(name)
    else:
        for member, inner in SHAPES[shape].items():
            known = member.removesuffix("?")
            if known in value:
                check(value[known], inner, known)
            elif known == member:
                raise _bad(member)


def _bad(name: str) -> AnswerError:
    return AnswerError(
        "answer", f"the coordinator's answer has no good `{name}`; check the URL, and compare the versions"
    )


def descriptor(view: Any) -> KeyDescriptor:
    """The key descriptor of a wallet's view. It is shown even if it is not believed, so its key has to be readable."""
    told = cast(KeyDescriptor, view["announcement"])
    if re.fullmatch("(?:[0-9a-fA-F]{2})*", told["root_public_key"]) is None:
        raise _bad("root_public_key")
    return told


class Transport:
    """Requests to one coordinator. Follows no redirect and asks no proxy."""

    def __init__(self, url: str, access: Access, ca: Path | None) -> None:
        self._url = url.rstrip("/")
        self._access = access
        self._deadline = Deadline()
        self._http = httpx.Client(transport=Wire(_context(ca), self._deadline), **_SETTINGS)

    def perform(self, request: Request) -> Any:
        until = _deadline(request)
        asked = _proven(self._http, self._url, request, self._access, _remaining(until))
        try:
            with self._deadline.set(until), closing(self._http.send(asked, stream=True)) as response:
                body = _bounded(_unpacked(response).iter_raw())
                return read(response.status_code, body, request.answer, response.headers.get("retry-after"))
        except httpx.TransportError as error:
            _unreachable(self._url, error)

    def open(self, request: Request) -> Stream:
        """Opens a stream of events."""
        until = _deadline(request)
        asked = _proven(self._http, self._url, request, self._access, _PATIENT)
        try:
            with self._deadline.set(until):
                response = self._http.send(asked, stream=True)
                try:
                    if not _is_stream(_unpacked(response)):
                        _no_stream(response, _bounded(response.iter_raw()))
                except BaseException:
                    response.close()
                    raise
        except httpx.TransportError as error:
            _unreachable(self._url, error)
        return Stream(self._url, response, self._deadline)

    def close(self) -> None:
        self._http.close()


class Stream:
    """An open stream."""

    def __init__(self, url: str, response: httpx.Response, deadline: Deadline) -> None:
        self._url = url
        self._response = response
        self._deadline = deadline
        self._chunks = response.iter_raw()

    def read(self, until: float | None = None) -> bytes:
        """The next bytes; none if the stream has ended."""
        try:
            with self._deadline.set(until):
                return next(self._chunks, b"")
        except httpx.TransportError as error:
            _unreachable(self._url, error)

    def close(self) -> None:
        self._response.close()


class AsyncTransport:
    """The same for asyncio."""

    def __init__(self, url: str, access: Access, ca: Path | None) -> None:
        self._url = url.rstrip("/")
        self._access = access
        self._http = httpx.AsyncClient(verify=_context(ca), **_SETTINGS)

    async def perform(self, request: Request) -> Any:
        until = _deadline(request)
        asked = _proven(self._http, self._url, request, self._access, _remaining(until))
        return await _timely(self._url, until, self._perform(asked, request))

    async def _perform(self, asked: httpx.Request, request: Request) -> Any:
        async with aclosing(await self._http.send(asked, stream=True)) as response:
            body = await _bounded_async(_unpacked(response).aiter_raw())
            return read(response.status_code, body, request.answer, response.headers.get("retry-after"))

    async def open(self, request: Request) -> AsyncStream:
        asked = _proven(self._http, self._url, request, self._access, _PATIENT)
        return AsyncStream(self._url, await _timely(self._url, _deadline(request), self._open(asked)))

    async def _open(self, asked: httpx.Request) -> httpx.Response:
        response = await self._http.send(asked, stream=True)
        try:
            if not _is_stream(_unpacked(response)):
                _no_stream(response, await _bounded_async(response.aiter_raw()))
        except BaseException:
            await response.aclose()
            raise
        return response

    async def close(self) -> None:
        await self._http.aclose()


class AsyncStream:
    """The same for asyncio."""

    def __init__(self, url: str, response: httpx.Response) -> None:
        self._url = url
        self._response = response
        self._chunks = response.aiter_raw()

    async def read(self, until: float | None = None) -> bytes:
        return await _timely(self._url, until, self._next())

    async def _next(self) -> bytes:
        return await anext(self._chunks, b"")

    async def close(self) -> None:
        await self._response.aclose()


async def _timely(url: str, until: float | None, act: Coroutine[Any, Any, T]) -> T:
    """The result of a request or of a part of it, if it comes in time."""
    try:
        return await asyncio.wait_for(act, None if until is None else max(until - time.monotonic(), 0.0))
    except asyncio.TimeoutError:
        _unreachable(url, httpx.ReadTimeout("the answer takes too long"))
    except httpx.TransportError as error:
        _unreachable(url, error)


_PATIENT = httpx.Timeout(REQUEST, read=SILENCE)

_SETTINGS: dict[str, Any] = {
    "headers": {"accept-encoding": "identity"},
    "timeout": REQUEST,
    "follow_redirects": False,
    "trust_env": False,
}


def _deadline(request: Request) -> float:
    limit = time.monotonic() + REQUEST
    return limit if request.until is None else min(limit, request.until)


def _remaining(until: float) -> httpx.Timeout:
    return httpx.Timeout(max(until - time.monotonic(), 0.001))


def _context(ca: Path | None) -> ssl.SSLContext:
    """What makes a coordinator's certificate good."""
    if ca is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise FileError("file", f"{ca}: {error}; give certificates in PEM as `coordinator_ca`") from None


def _proven(
    http: httpx.Client | httpx.AsyncClient, url: str, request: Request, access: Access, timeout: httpx.Timeout
) -> httpx.Request:
    """A request as it is sent, with the proof of who sends it. Every attempt has a proof of its own."""
    content: dict[str, Any] = {"headers": request.headers, "timeout": timeout}
    if request.query:
        content["params"] = request.query
    if request.body is not None:
        content["json"] = request.body
    asked = http.build_request(request.method, url + request.path, **content)
    asked.headers.update(access.headers(asked.method, asked.url.raw_path.decode(), asked.content))
    return asked


def _is_stream(response: httpx.Response) -> bool:
    return response.status_code == 200 and response.headers.get("content-type", "").startswith("text/event-stream")


def _no_stream(response: httpx.Response, body: bytes) -> NoReturn:
    read(response.status_code, body, None, response.headers.get("retry-after"))
    raise unreadable("it is not a stream of events")


def _unpacked(response: R) -> R:
    """An answer that is sent as it is. One that is packed could be a thousand times as long when it is unpacked."""
    told = response.headers.get("content-encoding", "identity").strip().lower()
    if told in ("", "identity"):
        return response
    raise unreadable("it is compressed, which was not asked for; a proxy may do that")


def _bounded(chunks: Iterator[bytes]) -> bytes:
    body = bytearray()
    for chunk in chunks:
        _append(body, chunk)
    return bytes(body)


async def _bounded_async(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        _append(body, chunk)
    return bytes(body)


def _append(body: bytearray, chunk: bytes) -> None:
    body += chunk
    if len(body) > MAX_ANSWER:
        raise unreadable(f"it is longer than {MAX_ANSWER} bytes")


def _unreachable(url: str, error: httpx.TransportError) -> NoReturn:
    sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol))
    raise Unreachable(url, str(error) or type(error).__name__, sent) from None


def unreadable(reason: str) -> AnswerError:
    return AnswerError(
        "answer",
        f"the coordinator's answer cannot be read ({reason}); check the URL, and update the older of the two programs",
    )
