"""Texts of others, made fit for a screen or a log, as the command line does it: by the same code."""

from __future__ import annotations

from typing import Any

#: The member with the exact text that a requester signed. It is verified, so it stays as it is.
_SIGNED = "task"


def clean(text: str) -> str:
    """The text with blanks for control characters and for those that hide or reverse others."""
    return text if _is_plain(text) else _cleaned([text])[text]


def told(document: Any) -> Any:
    """A document of the coordinator, with each text and name in it cleaned. If it is an order, its signed text stays."""
    order = document if _is_order(document) else None
    dirty: set[str] = set()
    _collect(document, dirty, order)
    return _replaced(document, _cleaned(sorted(dirty)), order) if dirty else document


def _is_order(document: Any) -> bool:
    """An order has a signature beside its text. Everywhere else, a member ``task`` is an id, which nobody has signed."""
    return isinstance(document, dict) and isinstance(document.get(_SIGNED), str) and "signature" in document


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _cleaned(texts: list[str]) -> dict[str, str]:
    # The module is not needed, and not compiled, for plain texts.
    from . import _core

    return dict(zip(texts, _core.call("text.clean", {"texts": [_whole(text) for text in texts]})))


def _whole(text: str) -> str:
    """The text without halves of characters, which JSON can name and UTF-8 cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _collect(value: Any, dirty: set[str], order: Any) -> None:
    if isinstance(value, str):
        if not _is_plain(value):
            dirty.add(value)
    elif isinstance(value, list):
        for one in value:
            _collect(one, dirty, order)
    elif isinstance(value, dict):
        for name, one in value.items():
            _collect(name, dirty, order)
            if name != _SIGNED or value is not order:
                _collect(one, dirty, order)


def _replaced(value: Any, by: dict[str, str], order: Any) -> Any:
    if isinstance(value, str):
        return by.get(value, value)
    if isinstance(value, list):
        return [_replaced(one, by, order) for one in value]
    if isinstance(value, dict):
        return {
            by.get(name, name): one if name == _SIGNED and value is order else _replaced(one, by, order)
            for name, one in value.items()
        }
    return value
