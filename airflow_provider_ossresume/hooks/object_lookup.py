"""One look at OSS: whether what a sensor waits for is there, and why not."""

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
Ask = Callable[[], None]

MOST_SHOWN = 10  # keys in one line of the log
_FUTURE = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Finding:
    """What one key or pattern has come to, in words for the log."""

    is_met: bool
    says: str
    matches: Sequence[FoundObject] = ()


@dataclass(frozen=True)
class Look:
    """What all of them have come to.

    :ivar matches: the ``oss://`` URIs of the objects that were found, at most so many as are wanted
    """

    is_done: bool
    matches: list[str]
    findings: Sequence[Finding]

    def __str__(self) -> str:
        said = [finding.says for finding in self.findings if finding.is_met == self.is_done]
        more = f"; and {len(said) - MOST_SHOWN} more" if len(said) > MOST_SHOWN else ""
        return "; ".join(said[:MOST_SHOWN]) + more


class Patience:
    """How often, and for how long, looks that send each request once may fail in a row.

    As a worker's client sends a request again: ``part_retries`` times, within ``retry_max_time``.

    :ivar longest: seconds that a wait may last which OSS asks for
    """

    def __init__(self) -> None:
        config = TransferConfig.of(None)
        self._most, self.longest = config.part_retries, config.retry_max_time
        self._failures = 0
        self._began = 0.0

    def bears(self, error: OSSResumeError) -> bool:
        """Count a failure; True when another look may follow it."""
        now = time.monotonic()
        self._began = self._began if self._failures else now
        self._failures += 1
        return self._failures <= self._most and now - self._began + asked_wait(error) < self.longest


def asked_wait(error: Exception) -> float:
    """Return the seconds that OSS asks to wait; 0 when it does not ask."""
    return getattr(error, "retry_after", None) or 0.0


def look(oss: OssClient, wanted: Wanted, *, check: Check | None = None, ask: Ask | None = None) -> Look:
    """Look once for everything that is wanted.

    One HEAD for each key. A pattern is listed by its literal prefix, and no further than its answer needs. With
    ``any_key``, the first one that is there ends the look.

    :param check: asked last, for each key or pattern, with all objects that count
    :param ask: asked before each request; what it raises ends the look
    :raises RequestError: for whatever OSS answers but a missing key
    """
    source = _Source(oss, ask)
    findings: list[Finding] = []
    for pattern in wanted.patterns:
        findings.append(_find(source, pattern, wanted, check))
        if wanted.any_key and findings[-1].is_met:
            break
    are_met = [finding.is_met for finding in findings]
    is_done = any(are_met) if wanted.any_key else all(are_met)
    uris = dict.fromkeys(found.uri for finding in findings if finding.is_met for found in finding.matches)
    return Look(is_done, list(itertools.islice(uris, wanted.max_matches)) if is_done else [], findings)


class _Source:
    """What a look asks of OSS, as long as it may go on."""

    def __init__(self, oss: OssClient, ask: Ask | None) -> None:
        self._oss = oss
        self._ask = ask or (lambda: None)

    def head(self, target: ObjectRef) -> FoundObject | None:
        self._ask()
        try:
            meta = self._oss.head_object(target)
        except NoSuchKey:
            return None
        return FoundObject(target.bucket, target.key, meta.size, meta.etag, meta.last_modified, meta.answered_at)

    def listed(self, pattern: KeyPattern) -> Iterator[FoundObject]:
        """Yield what matches; further pages of a listing are fetched only when they are asked for."""
        self._ask()
        for listed in self._oss.list_objects(pattern.bucket, prefix=pattern.prefix):
            self._ask()  # for each key, as behind any of them the next page may begin
            if pattern.matches(listed.key):
                yield FoundObject(pattern.bucket, listed.key, listed.size, listed.etag, listed.last_modified)


def _find(source: _Source, pattern: KeyPattern, wanted: Wanted, check: Check | None) -> Finding:
    if wanted.must_not_exist:
        counted, missing = _count(source, pattern, wanted, most=1)
        return Finding(False, f"{counted[0]} is there") if counted else Finding(True, missing or f"{pattern} is absent")
    needs_all = wanted.stable_for or check
    counted, missing = _count(source, pattern, wanted, most=None if needs_all else wanted.max_matches)
    if not counted:
        return Finding(False, missing or f"{pattern} {'does not exist' if pattern.is_one_key else 'matches no key'}")
    if wanted.stable_for and (reason := _unstable(source, counted, wanted.stable_for)):
        return Finding(False, reason)
    says = str(counted[0]) if pattern.is_one_key else f"{len(counted)} for {pattern}, such as {counted[0]}"
    if check and not check(counted):
        return Finding(False, f"check_fn says no to {says}")
    return Finding(True, says, counted)


def _count(
    source: _Source, pattern: KeyPattern, wanted: Wanted, *, most: int | None
) -> tuple[list[FoundObject], str | None]:
    """Return the objects that count, and why the first one does not when none does."""
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
    """Return why the youngest object is not old enough, or None when it is.

    Its age is read off one answer, Date minus Last-Modified: both by OSS's clock, and nothing has to be remembered
    from look to look.
    """
    youngest = max(objects, key=lambda found: found.last_modified or _FUTURE)
    told = youngest if youngest.answered_at else source.head(youngest.target)
    if told is None:
        return f"{youngest.uri} has just been deleted"
    if told.last_modified is None:
        return f"{youngest.uri} has no Last-Modified, so nothing tells whether it changes"
    age = ((told.answered_at or datetime.now(timezone.utc)) - told.last_modified).total_seconds()
    if age >= seconds:
        return None
    return f"{youngest.uri} changed {age:.0f} s ago, it must be unchanged for {seconds:g} s"
