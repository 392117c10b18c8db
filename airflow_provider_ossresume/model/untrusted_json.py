"""Reads JSON that anybody may have written."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def read_json(text: str | bytes) -> Any:
    """Return what a text holds: no number that is not finite, and no text that has no bytes in UTF-8.

    :raises ValueError: when it is no such JSON, or nested too deep to be read
    """
    text = text.decode() if isinstance(text, bytes) else text
    try:
        values = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        if "\\ud" in text.lower():  # it may be half of a pair that stands for one character
            json.dumps(values, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return values


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
