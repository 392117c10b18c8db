"""The signatures equal those of the official SDKs, request by request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.oss.signing import (
    Signable,
    v1_signature,
    v1_string_to_sign,
    v4_canonical_request,
    v4_scope,
    v4_signature,
    v4_string_to_sign,
)

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "sign_vectors.json").read_text())["vectors"]


def the_request(vector: dict[str, Any]) -> Signable:
    given, expected = vector["input"], vector["expected"]
    return Signable(
        method=given["method"],
        bucket=given["bucket"],
        key=given["key"],
        query=dict(expected["signed_query"]),
        headers={**given["headers"], **expected["signed_request_headers"]},
    )


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["version"] == "v4"], ids=lambda v: v["id"])
def test_v4_signs_as_the_sdks_do(vector: dict[str, Any]) -> None:
    given, expected = vector["input"], vector["expected"]
    scope = v4_scope(given["time"][:8], region=given["region"], product=given["product"])

    canonical = v4_canonical_request(the_request(vector), additional_headers=given["additional_headers"])
    text = v4_string_to_sign(canonical, timestamp=given["time"], scope=scope)

    assert canonical == expected["canonical_request"]
    assert text == expected["string_to_sign"]
    assert v4_signature(text, secret=given["access_key_secret"], scope=scope) == expected["signature"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["version"] == "v1"], ids=lambda v: v["id"])
def test_v1_signs_as_the_sdks_do(vector: dict[str, Any]) -> None:
    given, expected = vector["input"], vector["expected"]
    headers = {name.lower(): value for name, value in expected["signed_request_headers"].items()}
    date = str(given["expires_at"]) if given["presign"] else headers["date"]

    text = v1_string_to_sign(the_request(vector), date=date)

    assert text == expected["string_to_sign"]
    assert v1_signature(text, secret=given["access_key_secret"]) == expected["signature"]
