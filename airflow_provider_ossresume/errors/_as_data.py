"""An error as JSON and back: a triggerer sends errors to workers, which may run another version of this package."""

from __future__ import annotations

import math
from typing import Any

from airflow_provider_ossresume.errors import _base, _filesystem, _requests, _sets, _transfers
from airflow_provider_ossresume.errors._base import OSSResumeError, rebuild_error

_CLASSES: dict[str, type[OSSResumeError]] = {
    name: found
    for module in (_base, _requests, _transfers, _filesystem, _sets)
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, OSSResumeError)
}


def error_to_data(error: OSSResumeError) -> dict[str, Any]:
    """Return an error as JSON values: the names of its class and base classes, its message and its facts.

    A fact is an attribute that is a string, a number, a boolean or None; others are left out, and so is the cause.
    Infinite numbers are left out too, because some databases refuse them in JSON.
    """
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, OSSResumeError)],
        "message": str(error),
        "facts": {
            "retryable": error.retryable,
            **{name: fact for name, fact in vars(error).items() if _is_plain(fact)},
        },
    }


def _is_plain(fact: object) -> bool:
    return fact is None or isinstance(fact, (str, int)) or (isinstance(fact, float) and math.isfinite(fact))


def error_from_data(data: object) -> OSSResumeError:
    """Return the error that :func:`error_to_data` wrote, perhaps in another version of this package.

    Its class is the most specific one that this version knows; only classes of this package are used. A fact that is
    missing, or has another type, keeps the default of its class. Data that cannot be read gives a retryable
    OSSResumeError.
    """
    match data:
        case {"kinds": [*names], "message": str(message), "facts": {**facts}}:
            known = (_CLASSES[name] for name in names if isinstance(name, str) and name in _CLASSES)
            kind = next(known, OSSResumeError)
            fitting = {name: fact for name, fact in facts.items() if isinstance(name, str) and _fits(kind, name, fact)}
            return rebuild_error(kind, (message,), fitting)
        case {"message": str(message)}:
            return _retryable(message)
    return _retryable(
        "the error that the triggerer sent cannot be read; run the same version of the provider in the triggerer and "
        "in the workers"
    )


def _fits(kind: type[OSSResumeError], name: str, fact: object) -> bool:
    default = getattr(kind, name, None)
    return default is None or isinstance(fact, type(default))


def _retryable(message: str) -> OSSResumeError:
    error = OSSResumeError(message)
    error.retryable = True
    return error
