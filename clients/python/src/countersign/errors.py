"""The errors of this package. Each has a stable ``code`` for programs and a message that ends with what to do.

``Pending`` is not a failure: the order stands, and the signature may still come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone

from ._text import clean


class CountersignError(Exception):
    """The base of all errors here. ``code`` is one of docs/codes.md. Texts have no characters that steer a terminal or
    hide."""

    def __init__(self, code: str, message: str, details: Sequence[str] = ()) -> None:
        self.code = code
        self.message = clean(message)
        super().__init__(self.message)
        #: Further lines for people. Nothing in them is believed.
        self.details = tuple(clean(line) for line in details)

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class UsageError(CountersignError):
    """The order or argument makes no sense. Nothing was sent."""


class FileError(CountersignError):
    """A file cannot be used."""


class PayloadError(CountersignError):
    """A payload that nobody signs. Nothing was sent."""


class FinishError(CountersignError):
    """The signatures do not complete their payload."""


class Unreachable(CountersignError):
    """The coordinator does not answer. ``sent`` is true if the request may have arrived."""

    def __init__(self, url: str, reason: str, sent: bool) -> None:
        super().__init__(
            "unreachable",
            f"the coordinator at {url} does not answer ({reason}); check that it runs and that the URL is right",
        )
        self.sent = sent


class ApiError(CountersignError):
    """The coordinator refused the request."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(_told(code), f"the coordinator refused: {message}")
        self.status = status


class Unauthorized(ApiError):
    """The API key or the signature is not accepted, or does not allow the request."""


class NotFound(ApiError):
    """The coordinator does not know it."""


class Conflict(ApiError):
    """The id stands for something else already."""


class Unavailable(ApiError):
    """The coordinator cannot take the request now. The same one may succeed a moment later."""

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, code, message)
        #: Seconds to wait, as the coordinator asks for; at most 30.
        self.retry_after = retry_after


class CursorGone(ApiError):
    """The events behind the cursor are not kept any more. Read the tasks that you follow, and begin with ``now``."""


class AnswerError(CountersignError):
    """The coordinator's answer does not follow the protocol."""


class TaskError(CountersignError):
    """An order ended without a result, as the coordinator tells. ``task`` is its id.

    A coordinator can tell so although the nodes have signed, and they may sign until ``not_after``. Send no new order
    before then, and let the new one rule the old one out on its chain, such as by the same nonce or an input of it.
    """

    def __init__(
        self,
        task: str,
        code: str,
        message: str,
        nodes: Sequence[str] = (),
        plugin: str | None = None,
        not_after: datetime | None = None,
    ) -> None:
        super().__init__(_told(code), message if not_after is None else f"{message}{_until(not_after)}")
        self.task = task
        #: The nodes concerned, as the coordinator tells.
        self.nodes = tuple(nodes)
        #: The plugin that refused, if it was one.
        self.plugin = plugin
        #: The end of the order's life. After it no honest node signs the order.
        self.not_after = not_after


class Rejected(TaskError):
    """A node refused, as the coordinator tells. Ask that node's operator."""


class Failed(TaskError):
    """The nodes took part, but the task failed, as the coordinator tells."""


class Expired(TaskError):
    """The order was not carried out in its time, as the coordinator tells."""


class Cancelled(TaskError):
    """The order was cancelled before anything was signed, as the coordinator tells."""


class VoteError(CountersignError):
    """There is no vote: nobody asks for one, or not any more, or it could not be made; or a newer one of the same key counts
    instead (``vote-not-newest``)."""


class VoteUnknown(CountersignError):
    """The vote was sent, and whether it arrived is not known: it may count. Look at the task before you vote again."""


class Pending(CountersignError):
    """The order has not ended yet, and may still end well: people may have to decide.

    Wait again with ``client.result(error.task)``. Do not order a second time instead.
    """

    def __init__(self, task: str) -> None:
        super().__init__(
            "timeout",
            f"task {task} has not ended yet and may still end; ask for its result before sending a new one",
        )
        self.task = task


class UnknownState(CountersignError):
    """The order has ended in a state of a later version, and may have a result.

    Update this package, then ask for the result. Do not order a second time instead.
    """

    def __init__(self, task: str, state: str) -> None:
        word = re.sub("[^!-~]", "?", state[:64])
        super().__init__(
            "unknown-state",
            f"task {task} is `{word}`, which this version does not know, and may have a result; update this package, then "
            "ask for its result before sending a new one",
        )
        self.task = task


class Untrustworthy(CountersignError):
    """What the coordinator reports is not true, or nobody known stands behind it. Do not use it."""


class InvalidResult(Untrustworthy):
    """A result that does not verify."""


class InvalidWallet(Untrustworthy):
    """A wallet that does not verify, or is not the one seen before."""


class WalletDistrusted(Untrustworthy):
    """A wallet whose parts prove each other and nothing else: its members or its requester are not in the profile."""


class InvalidWebhook(Untrustworthy):
    """A delivery that no known key signed, or not now. Answer 400, and do nothing."""


class StaleCoordinator(Untrustworthy):
    """The coordinator knows less about a wallet than this client."""


_CODE = re.compile("[a-z0-9.:-]{1,64}")


def _told(code: str) -> str:
    """A code of the coordinator or of a node; ``unknown`` for a text that is none."""
    return code if _CODE.fullmatch(code) else "unknown"


def _until(not_after: datetime) -> str:
    time = not_after.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    return (
        f"; only the coordinator says so, and the order may have been signed, or be signed until {time}: send no new order "
        "before then, and none that could be carried out beside this one"
    )


_BY_CODE: dict[str, type[CountersignError]] = {
    "usage": UsageError,
    "file": FileError,
    "finish": FinishError,
    "answer": AnswerError,
    "invalid-result": InvalidResult,
    "invalid-wallet": InvalidWallet,
    "wallet-distrusted": WalletDistrusted,
    "stale-coordinator": StaleCoordinator,
    "invalid-webhook": InvalidWebhook,
    "vote-not-asked": VoteError,
    "vote-not-pending": VoteError,
    "vote-over": VoteError,
    "vote-clock": VoteError,
    "vote-not-made": VoteError,
    "vote-not-newest": VoteError,
    "vote-unknown": VoteUnknown,
    "vote-stranger": Untrustworthy,
    "vote-order": Untrustworthy,
    "vote-generation": Untrustworthy,
    "vote-not-listed": Untrustworthy,
}
_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    410: CursorGone,
    429: Unavailable,
    503: Unavailable,
}


def by_code(code: str, message: str, details: Sequence[str]) -> CountersignError:
    """The error for a code of the module. Codes of payloads have many values and one type."""
    return _BY_CODE.get(code, PayloadError)(code, message, details)


def by_status(status: int, code: str, message: str, retry_after: float | None) -> ApiError:
    """The error for a refusal of the coordinator."""
    kind = _BY_STATUS.get(status, ApiError)
    if issubclass(kind, Unavailable):
        return kind(status, code, message, retry_after)
    return kind(status, code, message)
