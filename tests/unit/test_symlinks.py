"""Symbolic links of OSS: what a link says of itself is never taken for the bytes' checksum."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import IntegrityError, ServiceError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.objects import ObjectRef
from tests.unit.relay import Passing, Relay
from tests.unit.test_client import failure
from tests.world import BUCKET, PART, Transfers, a_client, a_file, some_bytes

oss2 = pytest.importorskip("oss2")
LINK = ObjectRef(BUCKET, "link")
DATA = some_bytes(4 * PART + 7)


def a_link(oss: LocalOSS, target: str = "target 键") -> None:
    auth = oss2.AuthV4(oss.access_key_id, oss.access_key_secret)
    oss2.Bucket(auth, oss.endpoint, BUCKET, region=oss.region).put_symlink(target, LINK.key)


@pytest.fixture
def linked(transfers: Transfers) -> Transfers:
    transfers.oss.put(BUCKET, "target 键", DATA)
    a_link(transfers.oss)
    return transfers


@pytest.mark.parametrize("byte_range", [None, (PART + 1, 2 * PART)])
def test_what_a_link_leads_to_is_downloaded_and_proven(
    linked: Transfers, tmp_path: Path, byte_range: tuple[int, int] | None, caplog: pytest.LogCaptureFixture
) -> None:
    result = linked.download(tmp_path / "file", LINK.key, byte_range=byte_range)

    start, stop = byte_range or (0, len(DATA))
    assert (tmp_path / "file").read_bytes() == DATA[start:stop]
    assert result.crc64 == crc64(DATA[start:stop])
    assert "cannot be compared" not in caplog.text
    assert linked.download(tmp_path / "file", LINK.key, if_exists="skip_if_same" if not byte_range else "skip")


def test_damage_is_noticed_by_the_targets_crc(linked: Transfers, tmp_path: Path) -> None:
    linked.oss.fail("GetObject", fault=Fault("flip"), times=None)

    with pytest.raises(IntegrityError):
        linked.download(tmp_path / "file", LINK.key)
    assert not (tmp_path / "file").exists()


def test_a_link_whose_header_is_the_targets_is_downloaded_too(linked: Transfers, tmp_path: Path) -> None:
    def of_the_target(passing: Passing) -> None:
        if passing.answer.get("x-oss-object-type") == "Symlink":
            passing.answer["x-oss-hash-crc64ecma"] = str(crc64(DATA))

    with Relay(linked.oss, answer=of_the_target) as relay:
        linked.client = a_client(relay)
        linked.download(tmp_path / "file", LINK.key)

    assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize("operation", ["GetSymlink", "HeadObject"])
def test_where_the_target_may_not_be_asked_for_the_size_has_to_do_and_the_log_says_so(
    linked: Transfers, tmp_path: Path, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    linked.oss.fail(operation, fault=Fault("status", status=403, code="AccessDenied"), times=None)

    with caplog.at_level("INFO"):
        linked.download(tmp_path / "file", LINK.key)

    assert (tmp_path / "file").read_bytes() == DATA
    assert "by its size and the object's ETag only" in caplog.text
    assert "its target cannot be read" in caplog.text


def test_a_link_to_nothing_is_an_error_that_says_so(oss: LocalOSS) -> None:
    a_link(oss)

    error = failure(ServiceError, lambda: a_client(oss).head_object(LINK))

    assert (error.code, error.retryable) == ("SymlinkTargetNotExist", False)
    assert "an object that does not exist" in str(error)


def test_what_is_no_link_leads_nowhere(oss: LocalOSS) -> None:
    oss.put(BUCKET, "link", b"x")

    assert failure(ServiceError, lambda: a_client(oss).get_symlink(LINK)).code == "NotSymlink"


def test_an_upload_never_takes_a_link_for_its_object(linked: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)
    source.write_bytes(DATA)

    assert linked.upload(source, LINK.key, if_exists="skip_if_same").outcome == "transferred"
    assert linked.client.head_object(LINK).headers["x-oss-object-type"] == "Multipart"
    assert linked.oss.object(BUCKET, "target 键") == DATA
