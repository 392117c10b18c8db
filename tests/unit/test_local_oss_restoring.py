"""RestoreObject on the local OSS server, on a clock that the test winds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.unit.test_local_oss import Client
from tests.world import Clock

RESTORE = {"restore": ""}
DAY = 24 * 3600.0
BODY = b"<RestoreRequest><Days>%d</Days></RestoreRequest>"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(tmp_path: Path, clock: Clock) -> Iterator[Client]:
    with LocalOSS(tmp_path, clock=clock, restore_seconds=60) as oss:
        oss.put("bucket", "key", b"bytes", x_oss_storage_class="Archive")
        client = Client(oss)
        client.now = clock
        yield client


def test_an_object_can_be_read_when_its_time_has_come_until_its_days_are_over(client: Client, clock: Clock) -> None:
    began = clock.now
    assert client("POST", "key", RESTORE, body=BODY % 2).status == 202
    for seconds, status in ((0, 403), (59, 403), (60, 200), (60 + 2 * DAY - 1, 200), (60 + 2 * DAY, 403)):
        clock.now = began + seconds
        assert client("GET", "key").status == status, seconds
    assert "x-oss-restore" not in client("HEAD", "key").headers
    assert client("POST", "key", RESTORE).status == 202


def test_each_further_request_counts_its_days_from_then(client: Client, clock: Clock) -> None:
    client("POST", "key", RESTORE, body=BODY % 3)
    clock.now += 60
    assert client("POST", "key", RESTORE).status == 200
    clock.now += 2 * DAY
    assert client("GET", "key").status == 200, "one day more is less than the three that it had"
    assert client("POST", "key", RESTORE, body=BODY % 7).status == 200
    clock.now += 7 * DAY - 1
    assert client("GET", "key").status == 200


def test_a_listing_tells_what_is_restored(client: Client, clock: Clock) -> None:
    client("POST", "key", RESTORE)
    assert client("GET").texts("Contents/RestoreInfo") == ['ongoing-request="true"']
    clock.now += 60
    for listing, entry in (({}, "Contents"), ({"list-type": "2"}, "Contents"), ({"versions": ""}, "Version")):
        [told] = client("GET", query=listing).texts(f"{entry}/RestoreInfo")
        assert told == client("HEAD", "key").headers["x-oss-restore"]


def test_a_link_tells_what_is_true_of_its_target(client: Client) -> None:
    client.oss.link("bucket", "link", "key")
    assert client("GET", "link").code == "InvalidObjectState"
    client.oss.restore("bucket", "key")
    assert client("GET", "link").body == b"bytes"
    assert client("HEAD", "link").headers["x-oss-restore"] == client("HEAD", "key").headers["x-oss-restore"]


def test_a_restoration_outlives_the_server(client: Client, clock: Clock, tmp_path: Path) -> None:
    client("POST", "key", RESTORE)
    client.oss.put("bucket", "held", b"", x_oss_storage_class="Archive")
    client.oss.restore("bucket", "held", ongoing=True)
    client.oss.stop()
    clock.now += 60
    with LocalOSS(tmp_path, clock=clock) as oss:
        again = Client(oss)
        again.now = clock
        assert again("GET", "key").body == b"bytes"
        assert again("HEAD", "held").headers["x-oss-restore"] == 'ongoing-request="true"'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<RestoreRequest><Days>0</Days></RestoreRequest>", "InvalidArgument"),
        (b"<RestoreRequest><Days>a</Days></RestoreRequest>", "InvalidArgument"),
        (b"<Restore/>", "MalformedXML"),
        (b"no xml", "MalformedXML"),
    ],
)
def test_a_bad_request_restores_nothing(client: Client, body: bytes, code: str) -> None:
    reply = client("POST", "key", RESTORE, body=body)

    assert (reply.status, reply.code) == (400, code)
    assert "x-oss-restore" not in client("HEAD", "key").headers


def test_a_test_may_choose_the_days(client: Client, clock: Clock) -> None:
    client.oss.restore("bucket", "key", days=2)
    clock.now += 2 * DAY - 1
    assert client("GET", "key").status == 200
    clock.now += 1
    assert client("GET", "key").status == 403
