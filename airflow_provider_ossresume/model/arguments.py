"""Arguments as DAG authors and templates give them: ages, whole numbers, truths, often as texts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import timedelta

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.parts import parse_number

Age = timedelta | float | str

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_MOST = 100 * 365 * 86_400.0  # seconds; OSS is younger


def parse_age(argument: str, value: Age) -> timedelta:
    """Return an age: a timedelta, seconds, or a text such as ``"7d"`` (s, m, h, d, w; ``"1d12h"``), or of seconds.

    :param argument: what the error calls it
    :raises ArgumentError: for anything else, and for an age that is not above zero
    """
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds <= _MOST:
        raise ArgumentError(
            argument, value, 'give an age above zero: a timedelta, seconds, or a text such as "7d", "36h" or "1d12h"'
        )
    return timedelta(seconds=seconds)


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    number = parse_number(value)
    if number is not None:
        return float(number) if math.isfinite(number) else None
    if isinstance(value, str) and re.fullmatch(r"(?:\d{1,9}[smhdw])+", text := re.sub(r"\s", "", value.lower())):
        return sum(int(count) * _SECONDS[unit] for count, unit in re.findall(r"(\d+)([smhdw])", text))
    return None


def parse_whole(argument: str, value: object, *, most: int) -> int:
    """Return a whole number from 1 on, or the one that a text stands for.

    :raises ArgumentError: for anything else
    """
    number = parse_number(value)
    if number is None or not 1 <= number <= most or number != int(number):
        raise ArgumentError(argument, value, f"give a whole number from 1 to {most}")
    return int(number)


def parse_truth(argument: str, value: object) -> bool:
    """Return True or False, or what the text ``"true"`` or ``"false"`` stands for, in upper or lower case.

    :raises ArgumentError: for anything else: what a template made of nothing must not decide whether data is deleted
    """
    if isinstance(value, bool):
        return value
    truth = {"true": True, "false": False}.get(str(value).strip().lower())
    if truth is None:
        raise ArgumentError(argument, value, "give true or false")
    return truth


def parse_texts(argument: str, value: object) -> list[str]:
    """Return a list of texts from one of them or any iterable, as mapped tasks return lazy sequences.

    :raises ArgumentError: when there is something else, or nothing, among them
    """
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else None
    if texts is None or not all(isinstance(text, str) and text for text in texts):
        raise ArgumentError(argument, value, "give a text, or a list of texts")
    return texts


def format_age(age: timedelta) -> str:
    """Return an age for people, in its two largest units: ``"7d"``, ``"1d12h"``, ``"90s"`` as ``"1m30s"``."""
    left = max(0, int(age.total_seconds()))
    shown: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _SECONDS[unit])
        if count or (shown and len(shown) < 2):
            shown.append(f"{count}{unit}")
    return "".join(each for each in shown[:2] if not each.startswith("0")) or "0s"
