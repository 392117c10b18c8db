"""Bodies as streams: what a request sends, and what a response brings, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from airflow_provider_ossresume.oss.call import Body
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.response import Response
from airflow_provider_ossresume.oss.retry import Attempts

T = TypeVar("T")


def request_pieces(body: Body, attempts: Attempts) -> Iterator[bytes | memoryview]:
    """Open a request's body and return its pieces. It is opened at once, before anything is sent."""
    return _counted(body.open(), attempts)


def _counted(pieces: Iterable[T], attempts: Attempts) -> Iterator[T]:
    for piece in pieces:
        yield piece
        attempts.moved()


def object_pieces(response: Response, piece_size: int, limit: Limit, attempts: Attempts) -> Iterator[memoryview]:
    """Yield the response's body in pieces of ``piece_size`` bytes; all of them share one buffer.

    If the connection breaks, the bytes that came before are yielded first.

    :raises ExchangeFailed: after that
    """
    if response.is_read:
        return
    # Not longer than the body, because new memory is filled with zeros first.
    piece_size = piece_size if response.length is None else min(piece_size, response.length)
    buffer = memoryview(bytearray(piece_size))
    filled = 0
    failure: ExchangeFailed | None = None
    while failure is None:
        try:
            size = response.read_into(buffer[filled:], limit)
        except ExchangeFailed as error:
            failure, size = error, 0
        if not size:
            break
        attempts.moved()
        filled += size
        if filled == piece_size:
            yield buffer
            filled = 0
    yield buffer[:filled]
    if failure is not None:
        raise failure


def until_it_breaks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces of an error's body. Its status makes it an error, even if the body breaks off."""
    with suppress(ExchangeFailed):
        yield from pieces
