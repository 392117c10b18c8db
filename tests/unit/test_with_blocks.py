"""Files that are closed by layers which do not say why: at a block's end, or as an exception leaves it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import pytest

from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.filesystem_world import a_filesystem
from tests.world import BUCKET


class Broken(Exception):
    """What ends a block."""


class Closer:
    """Closes its file and does not say why, as fsspec's OpenFile does."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> Any:
        return self._file

    def __exit__(self, *args: object) -> None:
        self._file.close()


class AwaitedCloser(Closer):
    """The same for coroutines; it gives way before it closes."""

    async def __aenter__(self) -> Any:
        return self._file

    async def __aexit__(self, *args: object) -> None:
        await asyncio.sleep(0)
        self._file.close()


@contextmanager
def generator(file: Any) -> Iterator[Any]:
    try:
        yield file
    finally:
        file.close()


@contextmanager
def translating(file: Any) -> Iterator[Any]:
    try:
        yield file
    except Broken as error:
        raise LookupError from error
    finally:
        file.close()


@contextmanager
def stack(file: Any) -> Iterator[Any]:
    with ExitStack() as blocks:
        yield blocks.enter_context(Closer(file))


Block = Callable[[Any], Any]
BLOCKS: list[Block] = [Closer, closing, generator, translating, stack, io.BufferedWriter]


def names(block: Block) -> str:
    return block.__name__


@pytest.fixture
def fs(oss: LocalOSS) -> OSSFileSystem:
    return a_filesystem(oss)


@pytest.mark.parametrize("block", BLOCKS, ids=names)
def test_what_an_exception_leaves_is_not_published(fs: OSSFileSystem, oss: LocalOSS, block: Block) -> None:
    file = fs.open(f"{BUCKET}/key", "wb")
    with suppress(Broken, LookupError), block(file) as opened:
        opened.write(b"half")
        raise Broken

    assert oss.objects(BUCKET) == []


@pytest.mark.parametrize("block", BLOCKS, ids=names)
def test_a_block_that_ends_while_an_exception_is_handled_publishes(
    fs: OSSFileSystem, oss: LocalOSS, block: Block
) -> None:
    file = fs.open(f"{BUCKET}/key", "wb")
    try:
        raise Broken
    except Broken:
        with block(file) as opened:
            opened.write(b"whole")

    assert oss.object(BUCKET, "key") == b"whole"


def test_what_is_closed_in_a_handler_within_a_blocks_end_is_published(fs: OSSFileSystem, oss: LocalOSS) -> None:
    file = fs.open(f"{BUCKET}/key", "wb")
    file.write(b"whole")

    class HandlesOne:
        def __enter__(self) -> None: ...
        def __exit__(self, *args: object) -> None:
            try:
                raise Broken
            except Broken:
                file.close()

    with HandlesOne():
        pass

    assert oss.object(BUCKET, "key") == b"whole"


@pytest.mark.parametrize("fails", [True, False])
def test_blocks_of_coroutines_are_told_apart_too(fs: OSSFileSystem, oss: LocalOSS, fails: bool) -> None:
    async def write() -> None:
        file = fs.open(f"{BUCKET}/key", "wb")
        try:
            raise LookupError
        except LookupError:
            async with AwaitedCloser(file):
                if fails:
                    raise Broken from None

    with suppress(Broken):
        asyncio.run(write())

    assert oss.objects(BUCKET) == ([] if fails else ["key"])
