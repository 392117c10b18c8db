"""Reads JSON from untrusted sources."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def read_json(text: str | bytes) -> Any:
    """Return the values in a JSON text. All numbers are finite, and all texts can be encoded as UTF-8.

    :raises ValueError: if it is not such JSON, or nested too deeply
    """
    text = text.decode() if isinstance(text, bytes) else text
    try:
        values = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        if "\\ud" in text.lower():  # it may be half of a surrogate pair
            json.dumps(values, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return values


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")
