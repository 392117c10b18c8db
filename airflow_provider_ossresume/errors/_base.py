"""The root of the tree, and the errors that any part of the package may raise."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

E = TypeVar("E", bound="OSSResumeError")


class OSSResumeError(Exception):
    """The base class of all errors of the package. Catch it to catch everything that the package raises on purpose."""

    retryable: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Rebuilt without __init__, and without its cause, which may hold a signed URL.
        return rebuild_error, (type(self), self.args, vars(self))


def rebuild_error(kind: type[E], args: tuple[Any, ...], facts: dict[str, Any]) -> E:
    """Return an error with these arguments and attributes; ``__init__`` is not called."""
    error = kind.__new__(kind, *args)
    vars(error).update(facts)
    return error


class ArgumentError(OSSResumeError, ValueError):
    """An argument cannot be used. The message names the argument, its value and the next step."""

    argument: str = ""
    value: object = None
    reason: str = ""

    def __init__(self, argument: str, value: object, reason: str) -> None:
        super().__init__(f"{argument}={value!r}: {reason}")
        self.argument = argument
        self.value = value
        self.reason = reason


class PartlyFailed(OSSResumeError):
    """Some of many similar calls failed, such as aborts; the others are done. The message names the first failures.

    :ivar failures: the error of each call that failed, by its name
    """

    failures: Mapping[str, OSSResumeError] = MappingProxyType({})

    def __init__(self, what: str, failures: Mapping[str, OSSResumeError], *, most: int = 10) -> None:
        more = f"; and {len(failures) - most} more" if len(failures) > most else ""
        super().__init__(f"{with_reasons(what, failures, most=most)}{more}")
        self.failures = dict(failures)
        self.retryable = any(error.retryable for error in failures.values())


def with_reasons(what: str, reasons: Mapping[str, object], *, most: int) -> str:
    """Return ``what: name: reason; name: reason`` with the first ``most`` names."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:most])
    return f"{what}: {shown}" if shown else what
