"""Temporary credentials, refreshed before they expire.

Many threads sign with one set of credentials. One thread at a time asks the source for new ones, and all callers that
wait share the result, credentials or an error (single flight). A stop ends only the waits of its own callers. As long
as the present credentials are valid, nobody waits.
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

# New credentials are requested this many seconds before the present ones expire, or after three quarters of the
# lifetime if that is later. Alibaba Cloud's alibabacloud-credentials uses 15 minutes too, so every service has new
# ones by then.
EARLY = 15 * 60
PAUSE = 60.0  # seconds between two early refreshes, whatever their result
LEAST_LIFETIME = 10.0  # seconds for which credentials are used even if they claim to have expired; OSS decides


@dataclass(frozen=True)
class TemporaryCredentials:
    """Credentials that expire.

    :ivar lifetime: seconds for which they are valid, from the moment of the request for them
    """

    credentials: Credentials
    lifetime: float


class CredentialsSource(Protocol):
    """Issues temporary credentials. Its ``str`` is its name in the log."""

    def fetch(self) -> TemporaryCredentials:
        """Request new credentials, once.

        :raises CredentialsUnavailable: if a later request may succeed
        :raises CredentialsError: if it will not
        """


@dataclass(frozen=True, eq=False)
class _State:
    """The result of the last request. It is replaced as a whole, so that readers need no lock."""

    credentials: Credentials | None = None
    refresh_at: float = 0.0
    ends: float = 0.0
    failure: CredentialsError | None = None


class RefreshingCredentials:
    """Credentials of a source, refreshed before they expire and when OSS says that they have expired.

    While the present credentials are valid, nobody waits, and they are used even if the source fails. Once they have
    expired, all callers wait for one request.

    :param clock: returns seconds and never goes back; a wrong clock of the worker does no harm
    """

    def __init__(self, source: CredentialsSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._state = _State()
        self._single_flight: SingleFlight[_State] = SingleFlight("credentials", most=1)

    def __repr__(self) -> str:
        return f"RefreshingCredentials({self._source})"

    def with_stop(self, stop: Stop) -> StoppableCredentials:
        """Return a provider of the same credentials whose waits end when the stop is set."""
        return StoppableCredentials(self, stop)

    def get(self, stop: Stop | None = None) -> Credentials:
        """Return the credentials to sign with now.

        :param stop: ends the wait for them
        :raises CredentialsError: if there are no valid ones
        """
        state, now = self._state, self._clock()
        if state.credentials is None or now >= state.ends:
            return self._fetched(state, stop)
        if now >= state.refresh_at:
            try:
                self._single_flight.begin(state, partial(self._fetch_once, state))
            except RuntimeError as error:  # no more threads, or the process is about to end
                log.debug("No thread could be started to refresh the credentials: %s", error)
        return state.credentials

    def renew(self, expired: Credentials, stop: Stop | None = None) -> Credentials:
        """Return new credentials in place of those that OSS calls expired, or the same if there are no others.

        :param stop: ends the wait for them
        :raises CredentialsError: if the source fails
        """
        state = self._state
        if state.credentials is not None and state.credentials != expired:
            return state.credentials  # another thread was quicker
        return self._fetched(state, stop)

    def _fetched(self, seen: _State, stop: Stop | None) -> Credentials:
        """Return the result of the running request; start one if none is running."""
        state = self._single_flight.ask(seen, partial(self._fetch_once, seen), stop or NeverStopped())
        if state.failure is not None:
            raise copy.copy(state.failure)  # because each thread adds its own traceback
        return cast("Credentials", state.credentials)  # the state has one of the two

    def _fetch_once(self, seen: _State) -> _State:
        """Ask the source, unless another thread has done so since the state was seen. Return the new state."""
        if self._state is seen:
            try:
                self._state = self._fetch(seen)
            except Exception as error:  # a defect of the source; callers see it once the credentials have expired
                log.warning("The credentials could not be refreshed: %s", type(error).__name__)
                if (now := self._clock()) < seen.ends:  # else there is nothing to continue with
                    self._state = replace(seen, refresh_at=now + PAUSE)
                raise
        return self._state

    def _fetch(self, state: _State) -> _State:
        """Ask the source once. Return the new state."""
        now = self._clock()
        try:
            issued = self._source.fetch()
        except CredentialsError as failure:
            if (left := state.ends - self._clock()) > 0:
                log.warning(
                    "The credentials could not be refreshed; the current ones are valid for another %.0f s: %s",
                    left,
                    failure,
                )
            return replace(state, failure=failure, refresh_at=now + PAUSE)
        log.info("New credentials from %s, valid for %.0f s", self._source, issued.lifetime)
        ends = now + max(issued.lifetime, LEAST_LIFETIME)
        early = min(EARLY, issued.lifetime / 4)
        return _State(issued.credentials, refresh_at=max(ends - early, now + PAUSE), ends=ends)


class StoppableCredentials:
    """Shared credentials, for one of their users.

    :param stop: ends the waits of this user only
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
