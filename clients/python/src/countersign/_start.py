"""Flows at a coordinator that has just started: for some seconds it refuses what was signed before, or might have been."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from ._api import Request
from ._step import Flow, Open, Sleep, Step
from .errors import CountersignError, Unavailable

T = TypeVar("T")

#: Time in seconds for which such a coordinator is asked again, and the pause if it does not tell one.
STARTING = 30.0
PAUSE = 1.0


def started(flow: Flow[T]) -> Flow[T]:
    """The same flow, which does not see that the coordinator has just started. Each attempt is signed anew."""
    try:
        step = next(flow)
        while True:
            try:
                answer = yield from _performed(step)
            except CountersignError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


def _performed(step: Step) -> Flow[Any]:
    until = time.monotonic() + STARTING
    while True:
        try:
            return (yield step)
        except Unavailable as error:
            asked = isinstance(step, (Request, Open))
            if not asked or error.code != "just-started" or time.monotonic() >= until:
                raise
            pause = error.retry_after or PAUSE
        yield Sleep(pause)
