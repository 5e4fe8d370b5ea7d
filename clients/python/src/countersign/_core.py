"""Runs the WebAssembly module with the requester's rules. No rule is written in Python.

The module asks nothing of its host: it gets no clock, no randomness, no files and no network. It is called by one
thread at a time.
"""

from __future__ import annotations

import json
import threading
from importlib.resources import files
from typing import Any, cast

import wasmtime

from . import _cache
from .errors import CountersignError, by_code

_LENGTH = 4


class Core:
    """One compiled module. Every call runs in memory of its own, so nothing of a key stays behind."""

    def __init__(self) -> None:
        self._engine = wasmtime.Engine()
        self._module = _cache.module(self._engine, files(__package__).joinpath("countersign.wasm").read_bytes())
        self._linker = wasmtime.Linker(self._engine)
        self._linker.define_unknown_imports_as_traps(self._module)
        self._lock = threading.Lock()

    def call(self, name: str, document: dict[str, Any]) -> Any:
        """Performs an operation on a document. Raises the error that the module reports."""
        try:
            request = json.dumps(document, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            raise by_code("usage", f"this cannot be written as JSON ({error}); correct it", ()) from None
        with self._lock:
            answer = json.loads(self._run(name.encode(), request))
        if "error" in answer:
            told = answer["error"]
            raise by_code(told["code"], told["message"], told["details"])
        return answer["ok"]

    def _run(self, name: bytes, request: bytes) -> bytes:
        store = wasmtime.Store(self._engine)
        exports = self._linker.instantiate(store, self._module).exports(store)
        memory = cast(wasmtime.Memory, exports["memory"])
        alloc = cast(wasmtime.Func, exports["countersign_alloc"])
        call = cast(wasmtime.Func, exports["countersign_call"])

        def put(content: bytes) -> int:
            block = cast(int, alloc(store, len(content))) & 0xFFFFFFFF
            if block == 0:
                raise CountersignError("usage", f"{len(content)} bytes are too many; give less at a time")
            memory.write(store, content, block)
            return block

        try:
            place = cast(int, call(store, put(name), len(name), put(request), len(request))) & 0xFFFFFFFF
        except wasmtime.WasmtimeError as error:
            raise _broken(error) from error
        except wasmtime.Trap as error:
            raise _broken(error) from error
        begin = place + _LENGTH
        length = int.from_bytes(memory.read(store, place, begin), "little")
        return bytes(memory.read(store, begin, begin + length))


def _broken(error: Exception) -> CountersignError:
    return CountersignError("answer", f"the module stopped ({error}); report this, with what was asked of it")


_core: Core | None = None
_making = threading.Lock()


def core() -> Core:
    """The module of this process, loaded at first use."""
    global _core
    with _making:
        if _core is None:
            _core = Core()
        return _core


def call(name: str, document: dict[str, Any]) -> Any:
    """Performs an operation on a document."""
    return core().call(name, document)
