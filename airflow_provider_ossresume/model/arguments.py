"""Parses arguments of DAG authors, templates and connections, which are often texts. One function for each type."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.parts import parse_number

Duration = timedelta | float | str
Flag = bool | str

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_LONGEST = 100 * 365 * 86_400.0  # seconds; a longer duration is a mistake
SHORTEST = 0.001  # seconds
MOST_PERMISSIONS = 0o777


def check_text(argument: str, value: object) -> None:
    """:raises ArgumentError: if the value is not a text, such as the XCom of a task that returned nothing"""
    if not isinstance(value, str):
        raise ArgumentError(argument, value, f"give a string, not {type(value).__name__}")


def check_unicode(argument: str, value: object) -> str:
    """Return a text that can be encoded as UTF-8.

    :raises ArgumentError: if it cannot, and if the value is not a text
    """
    check_text(argument, value)
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise ArgumentError(argument, value, "it is not valid Unicode (a lone surrogate); correct it") from None
    return str(value)


def check_choice(argument: str, value: object, choices: Sequence[str]) -> None:
    """:raises ArgumentError: if the value is none of the choices"""
    if value not in choices:
        raise ArgumentError(argument, value, f"choose one of {', '.join(map(repr, choices))}")


def parse_flag(argument: str, value: object) -> bool:
    """Return a bool from True, False, or the text ``"true"`` or ``"false"`` in any case.

    All flags are parsed here: those of operators, sensors, the hook, ``transfer_config`` and connections.

    :raises ArgumentError: for anything else, also for ``None``, ``""`` and ``1``: a template that rendered to nothing
        must not decide whether data is deleted
    """
    if isinstance(value, bool):
        return value
    flag = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
    if flag is None:
        raise ArgumentError(argument, value, "give true or false")
    return flag


def parse_duration(argument: str, value: object, *, least: float = SHORTEST, most: float = _LONGEST) -> timedelta:
    """Return a duration from a timedelta, a number of seconds, or a string such as ``"1d12h"`` (s, m, h, d, w).

    All durations are parsed here: ages, timeouts and intervals.

    :param argument: the argument's name in the error
    :param least: seconds; by default anything above zero
    :param most: seconds
    :raises ArgumentError: for anything else, and for a duration that is shorter or longer
    """
    seconds = _seconds(value)
    if seconds is None or not least <= seconds <= most:
        is_open = (least, most) == (SHORTEST, _LONGEST)
        limits = "above zero" if is_open else f"from {format_age(least)} to {format_age(most)}"
        raise ArgumentError(
            argument,
            value,
            f'give a duration {limits}: seconds, a timedelta, or a string such as "90s", "5m" or "1d12h"',
        )
    return timedelta(seconds=seconds)


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    number = parse_number(value)
    if number is not None:
        return float(number) if abs(number) <= _LONGEST else None
    # Units are in lower case, because "1M" could be a month.
    if isinstance(value, str) and re.fullmatch(r"(?:[0-9]{1,9}[smhdw])+", text := re.sub(r"\s", "", value)):
        return sum(int(count) * _SECONDS[unit] for count, unit in re.findall(r"([0-9]+)([smhdw])", text))
    return None


def parse_whole_number(argument: str, value: object, *, least: int = 1, most: int) -> int:
    """Return a whole number from a number or a string such as ``"5"`` or ``"5.0"``.

    :raises ArgumentError: for anything else, and for a number outside the limits
    """
    number = parse_number(value)
    if number is None or not least <= number <= most or number != int(number):
        raise ArgumentError(argument, value, f"give a whole number from {least} to {most}")
    return int(number)


def parse_mode(argument: str, value: object, *, was_text: bool = False) -> int:
    """Return a file's permissions from an int such as ``0o640``, or octal digits as a string: ``"640"``, ``"0o640"``.

    :param was_text: a template with ``render_template_as_native_obj`` has turned the text into a number: ``"440"`` into
        440, or ``"0o440"`` into 288. If only one of the two is possible, that one is used.
    :raises ArgumentError: for anything else, for permissions above 0o777, and for an ambiguous number
    """
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(?:0o)?([0-7]{1,6})\s*", value, re.IGNORECASE)):
        bits, digits = int(match[1], 8), None
    elif isinstance(value, int) and not isinstance(value, bool):
        bits, digits = value, int(str(value), 8) if was_text and re.fullmatch("[0-7]+", str(value)) else None
    else:
        bits, digits = -1, None
    readings = {reading for reading in (bits, digits) if reading is not None and 0 <= reading <= MOST_PERMISSIONS}
    if len(readings) == 1:
        return readings.pop()
    if readings:
        raise ArgumentError(
            argument, value, f"a template has turned a string into this number, so it could mean {bits:#o} or "
            f'{digits:#o}; begin the string with a zero, as in "{digits:04o}", to keep it a string'
        )  # fmt: skip
    raise ArgumentError(argument, value, 'give permissions from 0 to 0o777, such as 0o640 or the string "640"')


def parse_texts(argument: str, value: object) -> list[str]:
    """Return a list of strings from one string or any iterable, such as the lazy sequence that mapped tasks return.

    :raises ArgumentError: if an item is empty or not a string, or if the value is a list as a string: ``"['a']"``
    """
    if isinstance(value, str):
        texts: list[Any] | None = [value]
    else:
        texts = list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping) else None
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise ArgumentError(argument, value, "give a string, or a list of strings")
    for text in texts:
        refuse_empty(argument, text)
        refuse_text_of_list(argument, text)
    return texts


def refuse_empty(argument: str, value: object, *, instead: str = "correct the template") -> None:
    """:raises ArgumentError: for an empty or blank text, which a template that rendered to nothing gives

    :param instead: the next step
    """
    if isinstance(value, str) and not value.strip():
        raise ArgumentError(argument, value, f"it is empty, perhaps because a template rendered to nothing; {instead}")


def refuse_text_of_list(argument: str, value: str) -> None:
    """:raises ArgumentError: for a string such as ``"['a', 'b']"``, which a template renders from a list"""
    if _is_text_of_list(value.strip()):
        raise ArgumentError(
            argument, value, "a template has turned a list into this string; pass the list itself, as task.output or "
            "XComArg, or set render_template_as_native_obj=True on the DAG"
        )  # fmt: skip


def _is_text_of_list(text: str) -> bool:
    if re.match(r"Lazy\w*Sequence\(", text):  # the result of mapped tasks
        return True
    if not (text.startswith(("[", "(", "{")) and text.endswith(("]", ")", "}"))):
        return False
    for read in (ast.literal_eval, json.loads):
        try:
            if isinstance(read(text), (list, tuple, set, dict)):
                return True
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
    return False


def format_age(age: timedelta | float) -> str:
    """Return a duration as text, in its two largest units: ``"7d"``, ``"1d12h"``, ``"1m30s"``.

    :param age: a timedelta, or seconds
    """
    seconds = age.total_seconds() if isinstance(age, timedelta) else age
    if 0 < seconds < 1:
        return f"{seconds:g}s"
    left = max(0, int(seconds))
    shown: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _SECONDS[unit])
        if count or (shown and len(shown) < 2):
            shown.append(f"{count}{unit}")
    return "".join(each for each in shown[:2] if not each.startswith("0")) or "0s"
