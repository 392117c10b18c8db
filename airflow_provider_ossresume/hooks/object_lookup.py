"""One check for a sensor: whether its condition is met, and if not, why."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_provider_ossresume.errors import NoSuchKey, OSSResumeError
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.patterns import KeyPattern
from airflow_provider_ossresume.model.waiting import FoundObject, Wanted
from airflow_provider_ossresume.transfer.config import TransferConfig

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.client import OssClient

Check = Callable[[list[FoundObject]], bool]
BeforeRequest = Callable[[], None]

MAX_LOGGED = 10  # keys in one line of the log
_FUTURE = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Finding:
    """The result for one key or pattern, with a text for the log."""

    is_met: bool
    text: str
    matches: Sequence[FoundObject] = ()


@dataclass(frozen=True)
class LookResult:
    """The result of one check.

    :ivar matches: the ``oss://`` URIs of the objects that were found, at most ``max_matches`` of them
    """

    is_done: bool
    matches: list[str]
    findings: Sequence[Finding]

    def __str__(self) -> str:
        texts = [finding.text for finding in self.findings if finding.is_met == self.is_done]
        more = f"; and {len(texts) - MAX_LOGGED} more" if len(texts) > MAX_LOGGED else ""
        return "; ".join(texts[:MAX_LOGGED]) + more


class RetryBudget:
    """Limits how many checks in a row may fail, and for how long, if each check sends its requests only once.

    The limits are those for the retries of a request in a worker: ``part_retries`` and ``retry_max_time``.

    :ivar max_wait: the maximum wait that OSS may ask for, in seconds
    """

    def __init__(self) -> None:
        config = TransferConfig.of(None)
        self._max_failures, self.max_wait = config.part_retries, config.retry_max_time
        self._failures = 0
        self._first_failure = 0.0

    def allows(self, error: OSSResumeError) -> bool:
        """Count a failure. True if another check may follow."""
        now = time.monotonic()
        self._first_failure = self._first_failure if self._failures else now
        self._failures += 1
        return self._failures <= self._max_failures and now - self._first_failure + retry_after(error) < self.max_wait


def retry_after(error: Exception) -> float:
    """Return how many seconds OSS asks to wait, or 0."""
    return getattr(error, "retry_after", None) or 0.0


def look(
    oss: OssClient, wanted: Wanted, *, check: Check | None = None, before_request: BeforeRequest | None = None
) -> LookResult:
    """Check once whether the condition of a sensor is met.

    The check sends one HEAD request for each key. For a pattern it lists the keys with the pattern's literal prefix,
    only as far as needed. With ``any_key``, it ends at the first key or pattern that meets the condition.

    :param check: called last, for each key or pattern, with all objects that count
    :param before_request: called before each request; an exception that it raises ends the check
    :raises RequestError: for any error of OSS except a missing key
    """
    source = _Source(oss, before_request)
    findings: list[Finding] = []
    for pattern in wanted.patterns:
        findings.append(_find(source, pattern, wanted, check))
        if wanted.any_key and findings[-1].is_met:
            break
    are_met = [finding.is_met for finding in findings]
    is_done = any(are_met) if wanted.any_key else all(are_met)
    uris = dict.fromkeys(found.uri for finding in findings if finding.is_met for found in finding.matches)
    return LookResult(is_done, list(itertools.islice(uris, wanted.max_matches)) if is_done else [], findings)


class _Source:
    """The requests of one check."""

    def __init__(self, oss: OssClient, before_request: BeforeRequest | None) -> None:
        self._oss = oss
        self._before_request = before_request or (lambda: None)

    def head(self, target: ObjectRef) -> FoundObject | None:
        self._before_request()
        try:
            meta = self._oss.head_object(target)
        except NoSuchKey:
            return None
        return FoundObject(target.bucket, target.key, meta.size, meta.etag, meta.last_modified, meta.answered_at)

    def listed(self, pattern: KeyPattern) -> Iterator[FoundObject]:
        """Yield the objects that match. Each page of the listing is fetched only when it is needed."""
        self._before_request()
        for listed in self._oss.list_objects(pattern.bucket, prefix=pattern.prefix):
            self._before_request()  # for each key, because any of them may be the last of its page
            if pattern.matches(listed.key):
                yield FoundObject(pattern.bucket, listed.key, listed.size, listed.etag, listed.last_modified)


def _find(source: _Source, pattern: KeyPattern, wanted: Wanted, check: Check | None) -> Finding:
    if wanted.must_not_exist:
        counted, missing = _count(source, pattern, wanted, most=1)
        return (
            Finding(False, f"{counted[0]} still exists")
            if counted
            else Finding(True, missing or f"{pattern} does not exist")
        )
    needs_all = wanted.stable_for or check
    counted, missing = _count(source, pattern, wanted, most=None if needs_all else wanted.max_matches)
    if not counted:
        return Finding(False, missing or f"{pattern} {'does not exist' if pattern.is_one_key else 'matches no key'}")
    if wanted.stable_for and (reason := _unstable(source, counted, wanted.stable_for)):
        return Finding(False, reason)
    text = str(counted[0]) if pattern.is_one_key else f"{len(counted)} for {pattern}, such as {counted[0]}"
    if check and not check(counted):
        return Finding(False, f"check_fn returned false for {text}")
    return Finding(True, text, counted)


def _count(
    source: _Source, pattern: KeyPattern, wanted: Wanted, *, most: int | None
) -> tuple[list[FoundObject], str | None]:
    """Return the objects that count. If there are none, return why the first one does not count."""
    reasons: list[str] = []

    def counts(found: FoundObject) -> bool:
        reason = wanted.lacks(found, by_pattern=not pattern.is_one_key)
        if reason and not reasons:
            reasons.append(reason)
        return reason is None

    counted = list(itertools.islice(filter(counts, _objects(source, pattern)), most))
    return counted, reasons[0] if reasons and not counted else None


def _objects(source: _Source, pattern: KeyPattern) -> Iterator[FoundObject]:
    if not pattern.is_one_key:
        yield from source.listed(pattern)
    elif found := source.head(ObjectRef(pattern.bucket, pattern.text)):
        yield found


def _unstable(source: _Source, objects: Sequence[FoundObject], seconds: float) -> str | None:
    """Return why the newest object is not old enough, or None if it is.

    Its age is Date minus Last-Modified of one answer. Both come from OSS's clock, and no state is kept between checks.
    """
    newest = max(objects, key=lambda found: found.last_modified or _FUTURE)
    answer = newest if newest.answered_at else source.head(newest.target)
    if answer is None:
        return f"{newest.uri} was deleted during the check"
    if answer.last_modified is None:
        return f"OSS sent no Last-Modified for {newest.uri}, so its age is unknown"
    age = ((answer.answered_at or datetime.now(timezone.utc)) - answer.last_modified).total_seconds()
    if age >= seconds:
        return None
    return f"{newest.uri} changed {age:.0f} s ago; it must be unchanged for {seconds:g} s"
