"""Orders signatures from Countersign nodes, and verifies what comes back.

The rules, what is signed, derived and believed, are those of the Rust client: the same code, as WebAssembly.
"""

from ._flow import Progress
from .aio import AsyncClient
from .book import FileBook, MemoryBook, WalletBook
from .client import Client
from .errors import (
    AnswerError,
    ApiError,
    Cancelled,
    Conflict,
    CountersignError,
    CursorGone,
    Expired,
    Failed,
    FileError,
    FinishError,
    InvalidResult,
    InvalidWallet,
    InvalidWebhook,
    NotFound,
    PayloadError,
    Pending,
    Rejected,
    StaleCoordinator,
    TaskError,
    Unauthorized,
    Unavailable,
    UnknownState,
    Unreachable,
    Untrustworthy,
    UsageError,
    WalletDistrusted,
)
from .keys import RequesterKey
from .models import (
    Address,
    CheckUp,
    Decoded,
    Finished,
    Input,
    InputSignature,
    Introduction,
    Listed,
    Signed,
    Standing,
    Task,
    Wallet,
)
from .payloads import Payload
from .profile import Profile
from .schema import Event
from .webhooks import WebhookDelivery, verify_webhook

__all__ = [
    "Address",
    "AnswerError",
    "ApiError",
    "AsyncClient",
    "Cancelled",
    "CheckUp",
    "Client",
    "Conflict",
    "CountersignError",
    "CursorGone",
    "Decoded",
    "Event",
    "Expired",
    "Failed",
    "FileBook",
    "FileError",
    "FinishError",
    "Finished",
    "Input",
    "InputSignature",
    "Introduction",
    "InvalidResult",
    "InvalidWallet",
    "InvalidWebhook",
    "Listed",
    "MemoryBook",
    "NotFound",
    "Payload",
    "PayloadError",
    "Pending",
    "Profile",
    "Progress",
    "Rejected",
    "RequesterKey",
    "Signed",
    "StaleCoordinator",
    "Standing",
    "Task",
    "TaskError",
    "Unauthorized",
    "Unavailable",
    "UnknownState",
    "Unreachable",
    "Untrustworthy",
    "UsageError",
    "Wallet",
    "WalletBook",
    "WalletDistrusted",
    "WebhookDelivery",
    "verify_webhook",
]
