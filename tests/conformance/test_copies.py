"""Copies that OSS makes by itself: what goes along, from which version, and how much one request copies."""

from __future__ import annotations

from collections.abc import Mapping

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.copy_options import CopyOptions, copied_properties
from airflow_provider_ossresume.model.copying import CopyMethod, plan_copy
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import GIB
from tests.world import BUCKET as OUR_BUCKET
from tests.world import Transfers

from .judge import Judge, Refused
from .seats import BUCKET

DATA = b"the bytes of the source"
OTHER = "other-bucket"


@pytest.fixture(autouse=True)
def source(oss: LocalOSS) -> None:
    oss.create_bucket(OTHER)
    oss.put(
        BUCKET, "source", DATA, content_type="text/csv", x_oss_meta_owner="me", x_oss_tagging="a=1&b=x%2By",
        x_oss_storage_class="IA", x_oss_object_acl="public-read",
    )  # fmt: skip


def test_metadata_and_tags_go_along_and_the_acl_does_not(judge: Judge) -> None:
    judge.copy("source", "copied")

    copied = judge.head("copied")
    assert (copied.meta, copied.headers["content-type"]) == ({"owner": "me"}, "text/csv")
    assert judge.tags("copied") == {"a": "1", "b": "x+y"}
    assert judge.acl("copied") == "default"
    assert copied.headers["x-oss-hash-crc64ecma"] == judge.head("source").headers["x-oss-hash-crc64ecma"]


REPLACED = {
    "x-oss-metadata-directive": "REPLACE",
    "x-oss-meta-owner": "you",
    "x-oss-tagging-directive": "REPLACE",
    "x-oss-tagging": "c=3",
}
GIVEN = {
    "x-oss-storage-class": "Standard",
    "x-oss-server-side-encryption": "AES256",
    "x-oss-object-acl": "private",
}


def test_metadata_and_tags_may_be_replaced(judge: Judge) -> None:
    judge.copy("source", "copied", headers=REPLACED)

    assert judge.head("copied").meta == {"owner": "you"}
    assert judge.tags("copied") == {"c": "3"}


@pytest.mark.parametrize("replaced", [{}, REPLACED], ids=["kept metadata", "replaced metadata"])
def test_class_encryption_and_acl_may_be_asked_for_with_either(judge: Judge, replaced: Mapping[str, str]) -> None:
    judge.copy("source", "copied", headers={**replaced, **GIVEN})

    copied = judge.head("copied").headers
    assert (copied["x-oss-storage-class"], copied["x-oss-server-side-encryption"]) == ("Standard", "AES256")
    assert judge.acl("copied") == "private"


def test_a_copy_of_another_object_than_was_meant_is_refused(judge: Judge, oss: LocalOSS) -> None:
    etag = judge.head("source").etag
    judge.copy("source", "copied", headers={"x-oss-copy-source-if-match": f'"{etag}"'})
    oss.put(BUCKET, "source", b"others")

    with pytest.raises(Refused) as refused:
        judge.copy("source", "copied", headers={"x-oss-copy-source-if-match": f'"{etag}"'})

    assert (refused.value.status, refused.value.code) == (412, "PreconditionFailed")
    assert oss.object(BUCKET, "copied") == DATA


def test_a_version_is_copied_though_another_one_has_taken_its_place(judge: Judge, oss: LocalOSS) -> None:
    oss.keep_versions(BUCKET)
    version = judge.put("source", b"first").headers["x-oss-version-id"]
    judge.put("source", b"second")

    judge.copy("source", "copied", version=version)
    judge.copy("source", "of now")
    judge.copy("source", "before", version="null")

    assert [oss.object(BUCKET, key) for key in ("copied", "of now", "before")] == [b"first", b"second", DATA]
    with pytest.raises(Refused) as refused:
        judge.copy("source", "none", version="CAEQ")
    assert (refused.value.status, refused.value.code) == (404, "NoSuchVersion")


def test_more_than_5_gib_are_not_copied_to_another_bucket_at_once(judge: Judge, oss: LocalOSS) -> None:
    oss.put_zeros(BUCKET, "huge", 6 * GIB)
    oss.put_zeros(OTHER, "huge", 6 * GIB)

    judge.copy("huge", "within")
    with pytest.raises(Refused) as refused:
        judge.copy("huge", "between", bucket=OTHER)

    assert judge.head("within").headers["content-length"] == str(6 * GIB)
    assert (refused.value.status, refused.value.code) == (400, "EntityTooLarge")


def test_archived_and_retained_objects_are_refused_by_their_codes(judge: Judge, oss: LocalOSS) -> None:
    oss.put(BUCKET, "archived", DATA, x_oss_storage_class="ColdArchive")
    with pytest.raises(Refused) as archived:
        judge.copy("archived", "copied")
    oss.put(BUCKET, "kept", b"kept")
    oss.retain(BUCKET, days=1)
    with pytest.raises(Refused) as retained:
        judge.copy("source", "kept")

    assert (archived.value.status, archived.value.code) == (403, "InvalidObjectState")
    assert (retained.value.status, retained.value.code) == (409, "FileImmutable")


def test_a_retention_policy_tells_its_days(bucket: oss2.Bucket, client: oss_v2.Client, oss: LocalOSS) -> None:
    with pytest.raises(oss2.exceptions.NoSuchWORMConfiguration):
        bucket.get_bucket_worm()
    oss.retain(BUCKET, days=3)

    found = client.get_bucket_worm(oss_v2.GetBucketWormRequest(bucket=BUCKET)).worm_configuration
    assert (bucket.get_bucket_worm().retention_period_days, found.retention_period_in_days) == (3, 3)
    assert (bucket.get_bucket_worm().state, found.state) == ("Locked", "Locked")


def test_a_huge_object_is_copied_by_the_sdk_s_copier(client: oss_v2.Client, oss: LocalOSS) -> None:
    size = 10 * GIB
    oss.put_zeros(OTHER, "huge", size, x_oss_meta_owner="me", x_oss_tagging="a=1")
    oss.clear_requests()

    copied = client.copier().copy(
        oss_v2.CopyObjectRequest(bucket=BUCKET, key="copied", source_bucket=OTHER, source_key="huge")
    )

    head = client.head_object(oss_v2.HeadObjectRequest(bucket=BUCKET, key="copied"))
    assert (head.content_length, head.metadata) == (size, {"owner": "me"})
    assert copied.hash_crc64 == head.hash_crc64
    assert len(oss.calls("UploadPartCopy")) == 160


# --- ours, as the SDKs see it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [CopyMethod.WHOLE, CopyMethod.PARTS], ids=lambda method: method.name)
def test_what_we_copy_is_to_others_what_the_source_was(judge: Judge, oss: LocalOSS, method: CopyMethod) -> None:
    client = Transfers(oss).client
    asked = CopyOptions(storage_class="copy", acl="copy")
    source, target = ObjectRef(BUCKET, "source"), ObjectRef(OUR_BUCKET, "copied")
    oss.create_bucket(OUR_BUCKET)
    plan = plan_copy(
        source, client.head_object(source), target, copied_properties(target.key, asked),
        threshold=0 if method is CopyMethod.PARTS else GIB,
    )  # fmt: skip
    assert plan.method is method
    tags = client.get_object_tagging(plan.source) if plan.asks_for_tags else None
    acl = client.get_object_acl(plan.source) if plan.asks_for_acl else None

    if method is CopyMethod.WHOLE:
        client.copy_object(plan.source, target, headers=plan.whole_headers(acl=acl), if_match=plan.meta.etag)
    else:
        upload_id = client.initiate(target, headers=plan.initiate_headers(tags=tags))
        parts = [
            client.upload_part_copy(
                plan.source, target, upload_id, part.number, start=part.start, stop=part.stop, if_match=plan.meta.etag
            )
            for part in plan.parts
        ]
        client.complete(target, upload_id, parts, headers=plan.complete_headers(acl=acl))

    judge = judge.with_access(bucket=OUR_BUCKET)
    copied = judge.get("copied")
    assert (copied.body, copied.meta, copied.headers["content-type"]) == (DATA, {"owner": "me"}, "text/csv")
    assert copied.headers["x-oss-storage-class"] == "IA"
    assert (judge.tags("copied"), judge.acl("copied")) == ({"a": "1", "b": "x+y"}, "public-read")
