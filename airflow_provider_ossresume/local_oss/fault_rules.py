"""Active fault rules, and the methods with which a test adds and removes them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

from airflow_provider_ossresume.local_oss.faults import Fault, Rule
from airflow_provider_ossresume.local_oss.throttling import Throttle


class _ActiveRule:
    """A rule and the number of calls that it has matched."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._count = 0
        self._throttle = Throttle(rule.fault.per_second) if rule.fault.kind == "throttle" else None

    def hit(self, now: float) -> Fault | None:
        """Count a matching call, and return the fault if it applies to this call."""
        self._count += 1
        fault = self.rule.fault
        if not self.rule.hits(self._count):
            return None
        if self._throttle is None:
            return fault
        delay = self._throttle.delay(now)
        return replace(fault, seconds=delay) if delay else None


class Rules:
    """The active rules. Any thread may call the methods."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[_ActiveRule] = []

    def add(self, rule: Rule) -> None:
        """Activate a rule. It counts calls from now on."""
        with self._lock:
            self._active.append(_ActiveRule(rule))

    def remove(self, rule: Rule) -> None:
        """Remove one rule. It is not an error if it has been removed already."""
        with self._lock:
            self._active = [other for other in self._active if other.rule is not rule]

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._active = []

    def count(self, operation: str, key: str | None, part_number: int | None, *, now: float) -> tuple[Fault, ...]:
        """Count a call, and return the faults that apply to it. ``now`` is in seconds."""
        with self._lock:
            hits = [one.hit(now) for one in self._active if one.rule.matches(operation, key, part_number)]
        return tuple(fault for fault in hits if fault)


class FaultControls:
    """Methods to inject faults. ``key``, ``prefix`` and ``part_number`` limit the calls to which a fault applies."""

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
        """Inject a fault into ``times`` matching calls (None: all), starting with the ``nth`` from now."""
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
        """Inject a fault into every matching call after the next ``n``."""
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
        """Inject a fault into matching calls after the first ``after``, until the block ends."""
        rule = self.add_rule(Rule(fault, operation, after + 1, times, key, part_number, prefix))
        try:
            yield
        finally:
            self._rules.remove(rule)

    def throttle(self, prefix: str, *, per_second: float, operation: str = "*") -> Rule:
        """Allow ``per_second`` calls a second for keys with a prefix, and answer further ones with 503.

        After a quiet second as many calls may come at once. The seconds are those of the server's clock.
        """
        return self.add_rule(Rule(Fault("throttle", per_second=per_second), operation, times=None, prefix=prefix))

    def add_rule(self, rule: Rule) -> Rule:
        """Activate a rule and return it."""
        self._rules.add(rule)
        return rule

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._rules.clear()
