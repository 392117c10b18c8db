"""Temporary credentials, which their source issues anew before they end.

Many threads sign with one set of them. One thread at a time, which does nothing else, asks the source for all (single
flight), and what comes of it, credentials or an error, is shared by all that waited for it. A stop ends the wait of
those whose stop it is; the others get what they wait for. Ahead of the end nobody waits.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, cast

from airflow_provider_ossresume.errors import CredentialsError
from airflow_provider_ossresume.oss.credentials import Credentials
from airflow_provider_ossresume.oss.single_flight import SingleFlight
from airflow_provider_ossresume.oss.stop import NeverStopped, Stop

log = logging.getLogger(__name__)

# Seconds before the end from which new ones are asked for, or a quarter of the lifetime where that is less. Alibaba's
# library alibabacloud-credentials takes 15 minutes too, so each of these services has others by then.
EARLY = 15 * 60
PAUSE = 60.0  # seconds between two early refreshes, whatever the source answers
LEAST_LIFETIME = 10.0  # seconds for which credentials are tried that are over by their own account; OSS is the judge


@dataclass(frozen=True)
class TemporaryCredentials:
    """Credentials that end.

    :ivar lifetime: seconds for which they are good from the moment on in which they were asked for
    """

    credentials: Credentials
    lifetime: float


class CredentialsSource(Protocol):
    """Issues temporary credentials; its ``str`` names it for the log."""

    def fetch(self) -> TemporaryCredentials:
        """Ask for new ones, once.

        :raises CredentialsUnavailable: when asking again later may help
        :raises CredentialsError: when it will not
        """


@dataclass(frozen=True, eq=False)
class _State:
    """What the last flight left. It is replaced as a whole, so that a reader needs no lock; each has one flight."""

    credentials: Credentials | None = None
    refresh_at: float = 0.0
    ends: float = 0.0
    failure: CredentialsError | None = None


class RefreshingCredentials:
    """Credentials of a source, refreshed before they end and when OSS says that they have ended.

    While the present ones hold nobody waits, and when the source fails they go on being used. Once they have ended,
    everybody waits for the one response.

    :param clock: seconds that never go back; a wrong clock of the worker does no harm
    """

    def __init__(self, source: CredentialsSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._state = _State()
        self._flights: SingleFlight[_State] = SingleFlight("credentials", most=1)

    def __repr__(self) -> str:
        return f"RefreshingCredentials({self._source})"

    def with_stop(self, stop: Stop) -> StoppableCredentials:
        """Return these credentials for one who does not wait for them once the stop is given."""
        return StoppableCredentials(self, stop)

    def get(self, stop: Stop | None = None) -> Credentials:
        """Return the credentials to sign with now.

        :param stop: ends the wait for them
        :raises CredentialsError: when there are none that hold
        """
        state, now = self._state, self._clock()
        if state.credentials is None or now >= state.ends:
            return self._after_a_flight(state, stop)
        if now >= state.refresh_at:
            try:
                self._flights.begin(state, partial(self._fly_once, state))
            except RuntimeError as error:  # no more threads, or the process is about to end
                log.debug("No thread for new credentials: %s", error)
        return state.credentials

    def renew(self, expired: Credentials, stop: Stop | None = None) -> Credentials:
        """Return others than those that OSS calls expired, or the same when the source has no others.

        :param stop: ends the wait for them
        :raises CredentialsError: when the source fails
        """
        state = self._state
        if state.credentials is not None and state.credentials != expired:
            return state.credentials  # another thread was quicker
        return self._after_a_flight(state, stop)

    def _after_a_flight(self, seen: _State, stop: Stop | None) -> Credentials:
        """Return what the flight brings that is under way; where there is none, begin one."""
        state = self._flights.ask(seen, partial(self._fly_once, seen), stop or NeverStopped())
        if state.failure is not None:
            raise copy.copy(state.failure)  # as each thread adds its own traceback
        return cast("Credentials", state.credentials)  # a flight brings one of the two

    def _fly_once(self, seen: _State) -> _State:
        """Ask the source, unless that has been done since the state was seen; return what is known now."""
        if self._state is seen:
            try:
                self._state = self._fly(seen)
            except Exception as error:  # a defect of the source: it is told once the credentials have ended
                log.warning("No new credentials yet: %s", type(error).__name__)
                if (now := self._clock()) < seen.ends:  # else nobody could go on with what is known
                    self._state = replace(seen, refresh_at=now + PAUSE)
                raise
        return self._state

    def _fly(self, state: _State) -> _State:
        """Ask the source once; return what is known now."""
        now = self._clock()
        try:
            issued = self._source.fetch()
        except CredentialsError as failure:
            if (left := state.ends - self._clock()) > 0:
                log.warning("No new credentials yet, the present ones are valid for another %.0f s: %s", left, failure)
            return replace(state, failure=failure, refresh_at=now + PAUSE)
        log.info("New credentials from %s, valid for %.0f s", self._source, issued.lifetime)
        ends = now + max(issued.lifetime, LEAST_LIFETIME)
        early = min(EARLY, issued.lifetime / 4)
        return _State(issued.credentials, refresh_at=max(ends - early, now + PAUSE), ends=ends)


class StoppableCredentials:
    """Credentials of a provider that many share, for one of its users.

    :param stop: ends this user's waits, and nobody else's
    """

    def __init__(self, provider: RefreshingCredentials, stop: Stop) -> None:
        self._provider = provider
        self._stop = stop

    def with_stop(self, stop: Stop) -> StoppableCredentials:
        return StoppableCredentials(self._provider, stop)

    def get(self) -> Credentials:
        return self._provider.get(self._stop)

    def renew(self, expired: Credentials) -> Credentials:
        return self._provider.renew(expired, self._stop)
