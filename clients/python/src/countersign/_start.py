"""Flows whose steps are performed in another way than they ask: within a time, or again at a coordinator that has just
started, which refuses for some seconds what was signed before, or might have been."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ._api import Request
from ._step import Flow, Open, Read, Sleep, Step
from .errors import CountersignError, Unavailable

T = TypeVar("T")

#: Time in seconds for which a coordinator that has just started is asked again, and the pause if it does not tell one.
STARTING = 30.0
PAUSE = 1.0
#: Each request has so many seconds at least, so that a caller without patience gets an answer, too.
LEAST = 5.0


def started(flow: Flow[T]) -> Flow[T]:
    """The same flow, which does not see that the coordinator has just started. Each attempt is signed anew."""
    return _relayed(flow, _repeated)


def within(until: float, flow: Flow[T]) -> Flow[T]:
    """The same flow, whose steps do not outlast this time by ``time.monotonic``, or its last requests not by much."""
    return _relayed(flow, lambda step: _hurried(step, until))


def _relayed(flow: Flow[T], perform: Callable[[Step], Flow[Any]]) -> Flow[T]:
    try:
        step = next(flow)
        while True:
            try:
                answer = yield from perform(step)
            except CountersignError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


def _hurried(step: Step, until: float) -> Flow[Any]:
    now = time.monotonic()
    last = max(until, now + LEAST)
    if isinstance(step, Request):
        step = replace(step, until=last)
    elif isinstance(step, Open):
        step = Open(replace(step.request, until=last))
    elif isinstance(step, Read):
        step = Read(last)
    elif isinstance(step, Sleep):
        step = Sleep(min(step.seconds, max(until - now, 0.0)))
    return (yield step)


def _repeated(step: Step) -> Flow[Any]:
    asked = step.request if isinstance(step, Open) else step
    until = time.monotonic() + STARTING
    if isinstance(asked, Request) and asked.until is not None:
        until = min(until, asked.until)
    while True:
        try:
            return (yield step)
        except Unavailable as error:
            if not isinstance(asked, Request) or error.code != "just-started" or time.monotonic() >= until:
                raise
            pause = error.retry_after or PAUSE
        yield Sleep(min(pause, max(until - time.monotonic(), 0.0)))
