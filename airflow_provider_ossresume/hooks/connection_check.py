"""The check behind the Test button: one harmless request that shows whether a connection works, and if not, why."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_ossresume.errors import AccessDenied, ArgumentError, ConnectionFailed, NoSuchKey, OSSResumeError
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.model.object_names import check_bucket
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.client import OssClient

TOTAL_TIMEOUT = 14.0  # seconds; a user and Airflow's API server wait, and DNS alone may take 10 s
MAX_SKEW = 60  # seconds; OSS refuses requests from 15 minutes on
UNLIKELY_KEY = "airflow-tests-this-connection"
NO_ANSWER = "no answer from {} within {:g} s; check DNS, firewalls and the source of the credentials"

# A second attempt, because the client corrects some errors itself, such as a wrong clock.
_CONFIG = TransferConfig(part_retries=1, retry_max_time=3, connect_timeout=4, read_timeout=5, stall_timeout=5)


def check_connection(
    settings: ConnectionSettings,
    *,
    region: str | None = None,
    seconds: float = TOTAL_TIMEOUT,
    clock: Callable[[], float] = time.time,
) -> tuple[bool, str]:
    """Return whether the connection works, and a message: what OSS reports about it, or the cause and the next step.

    The check requests the information of the connection's bucket. Without a bucket, it lists one bucket of the key's
    account. A key without the permission to list buckets is valid too, because OSS has accepted its signature. An
    anonymous connection requests the headers of an object that does not exist.

    :param region: overrides the connection's region
    :param seconds: the maximum time for the check
    :param clock: returns seconds since 1970
    """
    try:
        client = settings.client(_CONFIG, region=region)
        bucket = settings.bucket and check_bucket(settings.bucket, argument="bucket")
        is_anonymous = (settings.auth_type or "").lower() == "anonymous"
        deadline = time.monotonic() + seconds

        def tick() -> None:
            if time.monotonic() > deadline:
                message = NO_ANSWER.format(client.endpoint.origin(bucket), seconds)
                raise ConnectionFailed(
                    f"{message} [{client.way_to(bucket)}]", operation="test", target=str(client.endpoint)
                )

        # In a thread: DNS, or the source of the credentials, may block for longer than any timeout here.
        with Crew(workers=1, tick=tick) as crew:
            result = crew.call(lambda: _check(client, bucket, is_anonymous=is_anonymous))
    except OSSResumeError as error:
        return False, _advice(error)
    return (
        True,
        f"Endpoint {client.endpoint}; region {client.region or 'not set'}; {result.summary}; {_skew(result, clock())}",
    )


@dataclass(frozen=True)
class _Result:
    """The result of the request.

    :ivar summary: the result, for the user
    :ivar answered_at: the time by OSS's clock, in seconds since 1970
    """

    summary: str
    answered_at: float | None


def _check(client: OssClient, bucket: str | None, *, is_anonymous: bool) -> _Result:
    if bucket and is_anonymous:
        return _check_anonymous(client, bucket)
    if bucket:
        info = client.get_bucket_info(bucket)
        summary = f"bucket {info.name} in {info.region} belongs to account {info.owner}"
        return _Result(summary, _timestamp(info.answered_at))
    if client.endpoint.addressing == "cname" or "accelerate" in client.endpoint.host:
        raise ArgumentError("bucket", bucket, f"fill in Bucket: {client.endpoint} answers for buckets only")
    try:
        service = client.get_service_info()
    except AccessDenied as error:
        if error.code != "AccessDenied":  # this code means that the key and the signature are valid
            raise
        summary = "the Access Key is valid; it cannot list buckets, but transfers do not need that"
        return _Result(
            "requests are not signed; fill in Bucket to check that it is public" if is_anonymous else summary,
            error.server_time,
        )
    return _Result(f"the Access Key is valid and belongs to account {service.owner}", _timestamp(service.answered_at))


def _check_anonymous(client: OssClient, bucket: str) -> _Result:
    summary = f"bucket {bucket} can be read anonymously"
    try:
        return _Result(summary, _timestamp(client.head_object(ObjectRef(bucket, UNLIKELY_KEY)).answered_at))
    except NoSuchKey as error:
        return _Result(summary, error.server_time)


def _timestamp(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def _skew(result: _Result, now: float) -> str:
    """Return how far this machine's clock is from OSS's. OSS sends whole seconds, and its answer takes some time."""
    if result.answered_at is None:
        return "OSS did not send its time, so this machine's clock was not checked"
    ahead = round(now - result.answered_at)
    if not ahead:
        return "this machine's clock agrees with OSS's"
    skew = f"this machine's clock is {abs(ahead)} s {'behind' if ahead < 0 else 'ahead of'} OSS's"
    return f"{skew}: set the clock" if abs(ahead) > MAX_SKEW else skew


def _advice(error: OSSResumeError) -> str:
    # With another code the key is not valid; with another hint the bucket is elsewhere.
    if isinstance(error, AccessDenied) and (error.code, error.hint) == ("AccessDenied", "grant oss:GetBucketInfo"):
        return f"{error}. The Access Key is valid, and transfers do not need this permission"
    return str(error)
