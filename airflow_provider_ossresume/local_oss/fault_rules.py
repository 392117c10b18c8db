"""Which rules are in force, and what a test says of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

from airflow_provider_ossresume.local_oss.faults import Fault, Rule
from airflow_provider_ossresume.local_oss.throttling import Throttle


class _InForce:
    """A rule with what it has counted."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._count = 0
        self._throttle = Throttle(rule.fault.per_second) if rule.fault.kind == "throttle" else None

    def hit(self, now: float) -> Fault | None:
        """Count a matching call and return the fault that hits it, if one does."""
        self._count += 1
        fault = self.rule.fault
        if not self.rule.hits(self._count):
            return None
        if self._throttle is None:
            return fault
        delay = self._throttle.delay(now)
        return replace(fault, seconds=delay) if delay else None


class Rules:
    """The rules in force. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_force: list[_InForce] = []

    def add(self, rule: Rule) -> None:
        """Put a rule in force; it counts calls from now on."""
        with self._lock:
            self._in_force.append(_InForce(rule))

    def remove(self, rule: Rule) -> None:
        """Take back one rule; harmless when it is gone already."""
        with self._lock:
            self._in_force = [other for other in self._in_force if other.rule is not rule]

    def clear(self) -> None:
        """Take back all rules."""
        with self._lock:
            self._in_force = []

    def count(self, operation: str, key: str | None, part_number: int | None, *, now: float) -> tuple[Fault, ...]:
        """Count a call and return the faults that hit it. ``now`` is in seconds."""
        with self._lock:
            hits = [one.hit(now) for one in self._in_force if one.rule.matches(operation, key, part_number)]
        return tuple(fault for fault in hits if fault)


class FaultControls:
    """What a test says of what goes wrong. ``key``, ``prefix`` and ``part_number`` narrow the calls down."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def fail(
        self,
        operation: str,
        nth: int = 1,
        fault: Fault = Fault("status"),  # noqa: B008  it is frozen
        *,
        times: int | None = 1,
        key: str | None = None,
        part_number: int | None = None,
        prefix: str | None = None,
    ) -> Rule:
        """Let a fault hit ``times`` calls (None: all) from the ``nth`` matching one on, counted from now."""
        return self.add_rule(Rule(fault, operation, nth, times, key, part_number, prefix))

    def fail_after(
        self,
        operation: str,
        n: int,
        fault: Fault = Fault("status"),  # noqa: B008  it is frozen
        *,
        key: str | None = None,
        part_number: int | None = None,
        prefix: str | None = None,
    ) -> Rule:
        """Let a fault hit every matching call after the next ``n``."""
        return self.add_rule(Rule(fault, operation, n + 1, None, key, part_number, prefix))

    @contextlib.contextmanager
    def failing(
        self,
        operation: str,
        *,
        after: int = 0,
        fault: Fault = Fault("status"),  # noqa: B008  it is frozen
        times: int | None = None,
        key: str | None = None,
        part_number: int | None = None,
        prefix: str | None = None,
    ) -> Iterator[None]:
        """Let a fault hit the matching calls after the first ``after`` of them, until the block ends."""
        rule = self.add_rule(Rule(fault, operation, after + 1, times, key, part_number, prefix))
        try:
            yield
        finally:
            self._rules.remove(rule)

    def throttle(self, prefix: str, *, per_second: float, operation: str = "*") -> Rule:
        """Let so many calls a second through for the keys with a prefix, and answer the others with 503.

        As many may come at once after a second of quiet. The seconds are those of the server's clock.
        """
        return self.add_rule(Rule(Fault("throttle", per_second=per_second), operation, times=None, prefix=prefix))

    def add_rule(self, rule: Rule) -> Rule:
        """Put a rule in force and return it."""
        self._rules.add(rule)
        return rule

    def clear_faults(self) -> None:
        """Take back all faults."""
        self._rules.clear()
