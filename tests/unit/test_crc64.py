"""CRC-64 as OSS computes it; anycrc, another implementation, is the oracle."""

from __future__ import annotations

import anycrc
import pytest

from airflow_provider_ossresume.model.crc64 import combine, combine_all, crc64
from tests.world import some_bytes

ORACLE = anycrc.Model("CRC64-XZ")
CHECK = 0x995DC9BBDF1939FA
SIZES = [0, 1, 7, 8, 9, 255, 4096, 16_383, 16_384, 100_003]


def test_the_check_value_is_that_of_crc_64_xz() -> None:
    assert crc64(b"123456789") == CHECK
    assert crc64(b"") == 0


@pytest.mark.parametrize("size", SIZES)
def test_it_equals_the_oracle(size: int) -> None:
    assert crc64(some_bytes(size)) == ORACLE.calc(some_bytes(size))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_it_takes_bytes_in_any_form(kind: type) -> None:
    assert crc64(kind(b"123456789")) == CHECK


def test_it_goes_on_from_a_former_value() -> None:
    assert crc64(b"6789", crc64(b"12345")) == CHECK


@pytest.mark.parametrize("second", SIZES)
@pytest.mark.parametrize("first", SIZES)
def test_two_crcs_join_to_that_of_the_whole(first: int, second: int) -> None:
    left, right = some_bytes(first), some_bytes(second, seed=2)

    joined = combine(crc64(left), crc64(right), second)

    assert joined == crc64(left + right)
    assert joined == ORACLE.combine(crc64(left), crc64(right), second)


@pytest.mark.parametrize("size", [2**31, 2**32 + 1, 5 * 2**30, 10_000 * 5 * 2**30])
def test_it_joins_sizes_that_nobody_could_hold_in_memory(size: int) -> None:
    assert combine(CHECK, 0x0123456789ABCDEF, size) == ORACLE.combine(CHECK, 0x0123456789ABCDEF, size)


def test_many_crcs_join_in_their_order() -> None:
    pieces = [b"12", b"", b"345", b"6", b"789"]

    assert combine_all((crc64(piece), len(piece)) for piece in pieces) == CHECK
    assert combine_all((crc64(piece), len(piece)) for piece in reversed(pieces)) != CHECK
    assert combine_all([]) == 0
