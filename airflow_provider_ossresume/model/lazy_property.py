"""A property that is computed at its first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class lazy_property(Generic[T]):  # a decorator
    """A property that keeps the result of its function.

    Like ``functools.cached_property``, but without the lock that it has before Python 3.12. That lock is shared by all
    objects of a class: one slow property, such as a lookup in Airflow, blocks all others, and a child that is forked
    meanwhile waits forever. Threads that ask at the same time may all call the function; they get the same result.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: type | None = None) -> lazy_property[T]: ...
    @overload
    def __get__(self, owner: object, kind: type | None = None) -> T: ...
    def __get__(self, owner: object | None, kind: type | None = None) -> lazy_property[T] | T:
        if owner is None:
            return self
        kept: T = owner.__dict__.setdefault(self._name, self._function(owner))
        return kept
