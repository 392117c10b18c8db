"""What the groups of the client's operations ask of the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.response import Response

T = TypeVar("T")


class Exchanging:
    """Sends requests; :class:`~airflow_provider_ossresume.oss.client.OssClient` says how."""

    def _exchange(self, call: Call, read: Callable[[Response], T]) -> T:
        """Send a request until it succeeds, and return what ``read`` makes of the response, body included.

        :raises RequestError: when it cannot succeed, or has not within the retry policy
        """
        raise NotImplementedError

    def _exchange_xml(self, call: Call, parse: Callable[[bytes], T]) -> T:
        """The same, of a response that is XML."""
        raise NotImplementedError
