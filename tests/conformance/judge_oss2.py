"""The judge ``oss2``: Alibaba's first Python SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import oss2
import requests.adapters

from .judge import (
    Access,
    Answer,
    BucketFacts,
    Deleted,
    ObjectsPage,
    Part,
    PartsPage,
    Refused,
    SignedURL,
    UploadsPage,
    VersionsPage,
    WithAccess,
    crc64_of,
    lower,
)


class Oss2(WithAccess):
    name: ClassVar[str] = "oss2"
    cannot: ClassVar[Mapping[str, str]] = {
        "complete out of order": "complete_multipart_upload sorts the parts",
        "read a listed part's CRC-64": "xml_utils.parse_list_parts leaves HashCrc64ecma out",
        "read through a link": "it compares the target's bytes with the CRC-64 of the answer, which is the link's",
    }

    def __init__(self, access: Access, *, signature: str, adapter: requests.adapters.HTTPAdapter | None = None) -> None:
        super().__init__(access, signature=signature)
        credentials = oss2.credentials.StaticCredentialsProvider(
            access.access_key_id, access.access_key_secret, access.security_token or ""
        )
        auth = {"v1": oss2.ProviderAuth, "v4": oss2.ProviderAuthV4}[signature](credentials)
        self._session = oss2.Session(adapter=adapter)
        self.bucket = oss2.Bucket(auth, access.endpoint, access.bucket, session=self._session, region=access.region)
        self._service = oss2.Service(auth, access.endpoint, session=self._session, region=access.region)

    def put(
        self,
        key: str,
        data: bytes,
        *,
        meta: Mapping[str, str] | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {**(headers or {}), **{f"x-oss-meta-{name}": value for name, value in (meta or {}).items()}}
        if content_type:
            sent["Content-Type"] = content_type
        with _refusals():
            return _answer(self.bucket.put_object(key, data, headers=sent))

    def put_stream(self, key: str, pieces: Sequence[bytes]) -> Answer:
        with _refusals():
            return _answer(self.bucket.put_object(key, iter(pieces)))

    def get(
        self, key: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
    ) -> Answer:
        with _refusals():
            result = self.bucket.get_object(key, headers=dict(headers or {}), params=dict(query or {}))
            body = result.read()
        if result.status == 200:
            oss2.utils.check_crc("get", result.client_crc, result.server_crc, result.request_id)
        return _answer(result, crc64=result.server_crc, body=body)

    def head(self, key: str) -> Answer:
        with _refusals():
            result = self.bucket.head_object(key)
        return _answer(result, crc64=result.server_crc)

    def object_meta(self, key: str) -> Answer:
        with _refusals():
            result = self.bucket.get_object_meta(key)
        return _answer(result, crc64=crc64_of(result.headers))

    def acl(self, key: str) -> str:
        with _refusals():
            return str(self.bucket.get_object_acl(key).acl)

    def tags(self, key: str) -> dict[str, str]:
        with _refusals():
            return dict(self.bucket.get_object_tagging(key).tag_set.tagging_rule)

    def put_tags(self, key: str, tags: Mapping[str, str]) -> None:
        rules = oss2.models.TaggingRule()
        for name, value in tags.items():
            rules.add(name, value)
        with _refusals():
            self.bucket.put_object_tagging(key, oss2.models.Tagging(rules))

    def delete_tags(self, key: str) -> None:
        with _refusals():
            self.bucket.delete_object_tagging(key)

    def put_link(self, key: str, target: str, *, headers: Mapping[str, str] | None = None) -> None:
        with _refusals():
            self.bucket.put_symlink(target, key, headers=dict(headers or {}))

    def link_target(self, key: str) -> str:
        with _refusals():
            return str(self.bucket.get_symlink(key).target_key)

    def restore(self, key: str, *, days: int = 1, tier: str | None = None, version: str | None = None) -> Answer:
        job = oss2.models.RestoreJobParameters(tier) if tier else None
        params = {"versionId": version} if version else None
        with _refusals():
            result = self.bucket.restore_object(key, params, input=oss2.models.RestoreConfiguration(days, job))
        return Answer(result.status, lower(result.headers), result.request_id)

    def append(self, key: str, position: int, data: bytes) -> int:
        with _refusals():
            before = self.bucket.head_object(key).server_crc if position else 0
            return int(self.bucket.append_object(key, position, data, init_crc=before).next_position)

    def copy(
        self,
        source: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        version: str | None = None,
        bucket: str | None = None,
    ) -> str:
        params = {"versionId": version} if version else None
        with _refusals():
            result = self.bucket.copy_object(
                bucket or self.access.bucket, source, key, headers=dict(headers or {}), params=params
            )
            return str(result.etag)

    def delete(self, key: str, *, version: str | None = None) -> Mapping[str, str]:
        with _refusals():
            return lower(self.bucket.delete_object(key, params={"versionId": version} if version else None).headers)

    def delete_versions(self, named: Sequence[tuple[str, str | None]]) -> list[Deleted]:
        listed = oss2.models.BatchDeleteObjectVersionList(
            [oss2.models.BatchDeleteObjectVersion(key, version or "") for key, version in named]
        )
        with _refusals():
            deleted = self.bucket.delete_object_versions(listed).delete_versions
        return [Deleted(one.key, one.versionid or None, one.delete_marker_versionid or None) for one in deleted]

    def delete_many(self, keys: Sequence[str]) -> list[str]:
        with _refusals():
            return list(self.bucket.batch_delete_objects(list(keys)).deleted_keys)

    def list_objects(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, token: str | None = None
    ) -> ObjectsPage:
        with _refusals():
            result = self.bucket.list_objects_v2(
                prefix=prefix, delimiter=delimiter, max_keys=page, continuation_token=token or ""
            )
        return ObjectsPage(
            keys=[listed.key for listed in result.object_list],
            prefixes=result.prefix_list,
            sizes=[listed.size for listed in result.object_list],
            kinds=[listed.type for listed in result.object_list],
            next_token=result.next_continuation_token if result.is_truncated else None,
        )

    def initiate(self, key: str, *, headers: Mapping[str, str] | None = None) -> str:
        with _refusals():
            return str(self.bucket.init_multipart_upload(key, headers=dict(headers or {})).upload_id)

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        with _refusals():
            result = self.bucket.upload_part(key, upload_id, number, data)
        return Part(number, result.etag, len(data), result.crc)

    def upload_part_copy(self, key: str, upload_id: str, number: int, source: str, *, start: int, stop: int) -> None:
        with _refusals():
            self.bucket.upload_part_copy(self.access.bucket, source, (start, stop - 1), key, upload_id, number)

    def list_parts(self, key: str, upload_id: str, *, page: int = 1000, marker: int | None = None) -> PartsPage:
        with _refusals():
            result = self.bucket.list_parts(key, upload_id, marker=str(marker or ""), max_parts=page)
        parts = [Part(part.part_number, part.etag, part.size) for part in result.parts]
        return PartsPage(parts, int(result.next_marker) if result.is_truncated else None)

    def complete(
        self, key: str, upload_id: str, parts: Sequence[Part], *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        # With a size and a CRC-64 for each part, oss2 compares the combined CRC-64 with the server's.
        listed = [oss2.models.PartInfo(part.number, part.etag, size=part.size, part_crc=part.crc64) for part in parts]
        with _refusals():
            return _answer(self.bucket.complete_multipart_upload(key, upload_id, listed, headers=dict(headers or {})))

    def complete_all(self, key: str, upload_id: str) -> Answer:
        with _refusals():
            return _answer(
                self.bucket.complete_multipart_upload(key, upload_id, None, headers={"x-oss-complete-all": "yes"})
            )

    def abort(self, key: str, upload_id: str) -> None:
        with _refusals():
            self.bucket.abort_multipart_upload(key, upload_id)

    def list_uploads(self, *, prefix: str = "", page: int = 1000, marker: tuple[str, str] | None = None) -> UploadsPage:
        key_marker, upload_id_marker = marker or ("", "")
        with _refusals():
            result = self.bucket.list_multipart_uploads(
                prefix=prefix, max_uploads=page, key_marker=key_marker, upload_id_marker=upload_id_marker
            )
        return UploadsPage(
            [(upload.key, upload.upload_id) for upload in result.upload_list],
            (result.next_key_marker, result.next_upload_id_marker) if result.is_truncated else None,
        )

    def presign(self, method: str, key: str, *, seconds: int, headers: Mapping[str, str] | None = None) -> SignedURL:
        sent = dict(headers or {})
        return SignedURL(self.bucket.sign_url(method, key, seconds, headers=sent, slash_safe=True), sent)

    def list_objects_v1(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, marker: str = ""
    ) -> ObjectsPage:
        with _refusals():
            result = self.bucket.list_objects(prefix=prefix, delimiter=delimiter, max_keys=page, marker=marker)
        return ObjectsPage(
            keys=[listed.key for listed in result.object_list],
            prefixes=result.prefix_list,
            sizes=[listed.size for listed in result.object_list],
            kinds=[listed.type for listed in result.object_list],
            next_token=result.next_marker if result.is_truncated else None,
        )

    def set_versioning(self, status: str) -> None:
        with _refusals():
            self.bucket.put_bucket_versioning(oss2.models.BucketVersioningConfig(status))

    def versioning(self) -> str | None:
        with _refusals():
            status = self.bucket.get_bucket_versioning().status
        return None if status is None else str(status)

    def list_versions(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, marker: tuple[str, str] | None = None
    ) -> VersionsPage:
        key, version = marker or ("", "")
        with _refusals():
            result = self.bucket.list_object_versions(prefix, delimiter, key, page, version)
        return VersionsPage(
            [(found.key, found.versionid, found.is_latest) for found in result.versions],
            [(found.key, found.versionid) for found in result.delete_marker],
            result.common_prefix,
            (result.next_key_marker, result.next_versionid_marker) if result.is_truncated else None,
        )

    def list_buckets(self) -> list[str]:
        with _refusals():
            return [bucket.name for bucket in self._service.list_buckets().buckets]

    def account(self) -> str:
        with _refusals():
            return str(self._service.list_buckets(max_keys=1).owner.id)

    def bucket_info(self) -> BucketFacts:
        with _refusals():
            info = self.bucket.get_bucket_info()
        return BucketFacts(info.name, info.location, info.storage_class, info.owner.id)

    def bucket_location(self) -> str:
        with _refusals():
            return str(self.bucket.get_bucket_location().location)

    def make_bucket(self) -> None:
        with _refusals():
            self.bucket.create_bucket()

    def remove_bucket(self) -> None:
        with _refusals():
            self.bucket.delete_bucket()

    def close(self) -> None:
        self._session.session.close()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except oss2.exceptions.ServerError as error:
        raise Refused(
            status=error.status,
            code=error.code,
            request_id=error.request_id,
            ec=error.ec,
            kind=type(error).__name__,
            message=error.message,
        ) from error


def _answer(result: Any, *, crc64: int | None = None, body: bytes = b"") -> Answer:
    return Answer(
        status=result.status,
        headers=lower(result.headers),
        request_id=result.request_id,
        etag=result.etag,
        crc64=result.crc if crc64 is None else crc64,
        body=body,
    )
