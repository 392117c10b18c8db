"""Content-MD5, with and without a Python that has MD5."""

from __future__ import annotations

import hashlib

import pytest

from airflow_provider_ossresume.model.md5 import content_md5


@pytest.mark.parametrize("pieces", [[b"123456789"], [b"1234", memoryview(b"56789")], [b"", b"123456789", b""]])
def test_content_md5_is_in_base64_however_the_body_is_cut(pieces: list[bytes | memoryview]) -> None:
    assert content_md5(pieces) == "JfnnlDI7RTiF9RgfG2JNCw=="


def test_a_body_of_nothing_has_one_too() -> None:
    assert content_md5([]) == "1B2M2Y8AsgTpgAmY7PhCfg=="


def _refused(**_: object) -> None:
    raise ValueError("disabled for FIPS")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_python_without_md5_goes_on_without(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    if is_there:
        monkeypatch.setattr(hashlib, "md5", _refused)
    else:
        monkeypatch.delattr(hashlib, "md5")

    assert content_md5([b"123456789"]) is None
