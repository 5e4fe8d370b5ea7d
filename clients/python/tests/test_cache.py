"""The compiled module is kept where nobody else can change it, and taken from nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import wasmtime

from countersign import _cache

WASM = wasmtime.wat2wasm('(module (func (export "one") (result i32) i32.const 1))')
OTHER = wasmtime.wat2wasm('(module (func (export "one") (result i32) i32.const 2))')


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "countersign"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was compiled."""
    plain, seen = wasmtime.Module.__init__, []

    def note(self: wasmtime.Module, engine: wasmtime.Engine, wasm: bytes) -> None:
        seen.append(wasm)
        plain(self, engine, wasm)

    monkeypatch.setattr(wasmtime.Module, "__init__", note)
    return seen


def result(wasm: bytes = WASM) -> int:
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    instance = wasmtime.Instance(store, _cache.module(engine, wasm), [])
    return int(instance.exports(store)["one"](store))  # type: ignore[operator]


def test_the_second_process_loads_what_the_first_one_compiled(folder: Path, compiled: list[bytes]) -> None:
    assert (result(), result(), result(OTHER), result(OTHER)) == (1, 1, 2, 2)
    assert compiled == [WASM, OTHER]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600, 0o600]


def test_a_file_that_is_damaged_or_that_others_can_read_or_write_is_compiled_anew(folder: Path, compiled: list[bytes]) -> None:
    result()
    (file,) = folder.iterdir()
    good = file.read_bytes()
    for bad in (good[:-1], good[:40], b"", good[:100] + bytes([good[100] ^ 1]) + good[101:], b"\0" * 32 + good[32:]):
        compiled.clear()
        file.write_bytes(bad)
        assert (result(), compiled, file.read_bytes()[32:100]) == (1, [WASM], good[32:100])
    for mode in (0o620, 0o602, 0o640):
        compiled.clear()
        file.chmod(mode)
        assert (result(), compiled) == (1, [WASM])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_or_a_file_that_stands_elsewhere_is_not_used(folder: Path, compiled: list[bytes], tmp_path: Path) -> None:
    result()
    for mode in (0o770, 0o707):
        compiled.clear()
        folder.chmod(mode)
        assert (result(), compiled) == (1, [WASM])
    folder.chmod(0o700)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    compiled.clear()
    assert (result(), compiled) == (1, [WASM])
    folder.unlink()
    folder.mkdir(mode=0o700)
    (file,) = (tmp_path / "elsewhere").iterdir()
    (folder / file.name).symlink_to(file)
    compiled.clear()
    assert (result(), compiled) == (1, [WASM])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_folder_or_a_file_of_somebody_else_is_not_used(folder: Path, compiled: list[bytes]) -> None:
    result()
    (file,) = folder.iterdir()
    for path in (file, folder):
        compiled.clear()
        os.chown(path, 12345, 12345)
        assert (result(), compiled) == (1, [WASM])
        os.chown(path, 0, 0)


def test_without_a_folder_it_works_as_well(folder: Path, compiled: list[bytes]) -> None:
    folder.parent.write_text("no folder")
    assert (result(), result(), len(compiled)) == (1, 1, 2)
