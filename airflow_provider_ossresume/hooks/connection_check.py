"""The Test button: one harmless request that tells what a connection leads to, or why it does not and what to do."""

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

SECONDS = 14.0  # Airflow's API server and a person wait; a name server alone may take ten
WORTH_SAYING = 60  # seconds that a clock is off; OSS refuses at 15 minutes
UNLIKELY_KEY = "airflow-tests-this-connection"
NO_ANSWER = "no answer from {} within {:g} s; a name server, a firewall or the source of the key does not answer"

# The second attempt is for what the client mends by itself, such as the clock.
_PATIENCE = TransferConfig(part_retries=1, retry_max_time=3, connect_timeout=4, read_timeout=5, stall_timeout=5)


def check_connection(
    settings: ConnectionSettings,
    *,
    region: str | None = None,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.time,
) -> tuple[bool, str]:
    """Return whether the connection works, and what OSS tells of it or the cause and the next step.

    Asks for the information of the connection's bucket; without one, for the first of the key's buckets. A key that may
    not list buckets is a good key all the same: OSS has taken its signature. An anonymous connection asks for the
    headers of an object that is not there.

    :param region: takes the place of the connection's
    :param seconds: after which an answer is given up
    :param clock: seconds since 1970
    """
    try:
        client = settings.client(_PATIENCE, region=region)
        bucket = settings.bucket and check_bucket(settings.bucket, argument="bucket")
        is_anonymous = (settings.auth_type or "").lower() == "anonymous"
        deadline = time.monotonic() + seconds

        def tick() -> None:
            if time.monotonic() > deadline:
                said = NO_ANSWER.format(client.endpoint.origin(bucket), seconds)
                raise ConnectionFailed(
                    f"{said} [{client.way_to(bucket)}]", operation="test", target=str(client.endpoint)
                )

        # A worker asks: a name server, or where the key comes from, may keep silent for longer than any timeout here.
        with Crew(workers=1, tick=tick) as crew:
            found = crew.call(lambda: _ask(client, bucket, is_anonymous=is_anonymous))
    except OSSResumeError as error:
        return False, _advice(error)
    return (
        True,
        f"Endpoint {client.endpoint}; region {client.region or 'not told'}; {found.says}; {_skew(found, clock())}",
    )


@dataclass(frozen=True)
class _Found:
    """What the request finds.

    :ivar answered_at: by OSS's clock, in seconds since 1970
    """

    says: str
    answered_at: float | None


def _ask(client: OssClient, bucket: str | None, *, is_anonymous: bool) -> _Found:
    if bucket and is_anonymous:
        return _ask_as_anybody(client, bucket)
    if bucket:
        info = client.get_bucket_info(bucket)
        says = f"bucket {info.name} in {info.region} belongs to account {info.owner}"
        return _Found(says, _seconds(info.answered_at))
    if client.endpoint.addressing == "cname" or "accelerate" in client.endpoint.host:
        raise ArgumentError("bucket", bucket, f"fill in Bucket: {client.endpoint} answers for buckets only")
    try:
        service = client.get_service_info()
    except AccessDenied as error:
        if error.code != "AccessDenied":  # with this one OSS finds nothing wrong with key and signature
            raise
        says = "the key is good; it may not list buckets, which no transfer needs"
        return _Found("nothing is signed, and no Bucket is filled in" if is_anonymous else says, error.server_time)
    return _Found(f"the key is good and belongs to account {service.owner}", _seconds(service.answered_at))


def _ask_as_anybody(client: OssClient, bucket: str) -> _Found:
    says = f"anybody may read bucket {bucket}"
    try:
        return _Found(says, _seconds(client.head_object(ObjectRef(bucket, UNLIKELY_KEY)).answered_at))
    except NoSuchKey as error:
        return _Found(says, error.server_time)


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def _skew(found: _Found, now: float) -> str:
    """Return by how much this machine's clock is off. OSS tells whole seconds, and its answer takes a while."""
    if found.answered_at is None:
        return "OSS told no time to compare this machine's clock with"
    ahead = round(now - found.answered_at)
    told = f"this machine's clock is {abs(ahead)} s {'behind' if ahead < 0 else 'ahead of'} OSS's"
    return f"{told}: set it" if abs(ahead) > WORTH_SAYING else told


def _advice(error: OSSResumeError) -> str:
    # Other codes say that the key is not good, another hint that the bucket is elsewhere.
    if isinstance(error, AccessDenied) and (error.code, error.hint) == ("AccessDenied", "grant oss:GetBucketInfo"):
        return f"{error}. Key and signature are good, and transfers do not need this permission"
    return str(error)
