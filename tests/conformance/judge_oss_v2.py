"""The judge ``alibabacloud-oss-v2``: Alibaba's second Python SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import alibabacloud_oss_v2 as oss
import requests.adapters
from alibabacloud_oss_v2.transport import RequestsHttpClient

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
    bare,
    crc64_of,
    lower,
)


class OssV2(WithAccess):
    name: ClassVar[str] = "oss-v2"
    cannot: ClassVar[Mapping[str, str]] = {
        "dot segments": "the key keeps its slashes in the URL, and urllib3 resolves .. and . before it sends",
        "sign a token with v1": "signer/v1.py names the header security-token, which is not signed; OSS knows another",
    }

    def __init__(self, access: Access, *, signature: str, adapter: requests.adapters.HTTPAdapter | None = None) -> None:
        super().__init__(access, signature=signature)
        self._http = RequestsHttpClient(adapter=adapter)
        self.client = oss.Client(
            oss.config.Config(
                region=access.region,
                endpoint=access.endpoint,
                signature_version=signature,
                credentials_provider=oss.credentials.StaticCredentialsProvider(
                    access.access_key_id, access.access_key_secret, access.security_token
                ),
                http_client=self._http,
                retry_max_attempts=1,  # one request each, so that the tests can count
            )
        )

    def put(
        self,
        key: str,
        data: bytes,
        *,
        meta: Mapping[str, str] | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        with _refusals():
            return _answer(
                self.client.put_object(
                    oss.PutObjectRequest(
                        bucket=self.access.bucket,
                        key=key,
                        body=data,
                        metadata=meta,
                        content_type=content_type,
                        headers=dict(headers or {}),
                    )
                )
            )

    def put_stream(self, key: str, pieces: Sequence[bytes]) -> Answer:
        with _refusals():
            return _answer(
                self.client.put_object(oss.PutObjectRequest(bucket=self.access.bucket, key=key, body=iter(pieces)))
            )

    def get(
        self, key: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
    ) -> Answer:
        with _refusals():
            result = self.client.get_object(
                oss.GetObjectRequest(
                    bucket=self.access.bucket, key=key, headers=dict(headers or {}), parameters=dict(query or {})
                )
            )
            with result.body as body:
                return _answer(result, body=body.read())

    def head(self, key: str) -> Answer:
        with _refusals():
            return _answer(self.client.head_object(oss.HeadObjectRequest(bucket=self.access.bucket, key=key)))

    def object_meta(self, key: str) -> Answer:
        with _refusals():
            return _answer(self.client.get_object_meta(oss.GetObjectMetaRequest(bucket=self.access.bucket, key=key)))

    def acl(self, key: str) -> str:
        with _refusals():
            result = self.client.get_object_acl(oss.GetObjectAclRequest(bucket=self.access.bucket, key=key))
            return str(result.acl)

    def tags(self, key: str) -> dict[str, str]:
        with _refusals():
            result = self.client.get_object_tagging(oss.GetObjectTaggingRequest(bucket=self.access.bucket, key=key))
            return {tag.key: tag.value or "" for tag in result.tag_set.tags or ()}

    def put_tags(self, key: str, tags: Mapping[str, str]) -> None:
        tag_set = oss.TagSet(tags=[oss.Tag(key=name, value=value) for name, value in tags.items()])
        with _refusals():
            self.client.put_object_tagging(
                oss.PutObjectTaggingRequest(bucket=self.access.bucket, key=key, tagging=oss.Tagging(tag_set=tag_set))
            )

    def delete_tags(self, key: str) -> None:
        with _refusals():
            self.client.delete_object_tagging(oss.DeleteObjectTaggingRequest(bucket=self.access.bucket, key=key))

    def put_link(self, key: str, target: str, *, headers: Mapping[str, str] | None = None) -> None:
        # The SDK hands the target on as it is.
        request = oss.PutSymlinkRequest(
            bucket=self.access.bucket, key=key, target=quote(target), headers=dict(headers or {})
        )
        with _refusals():
            self.client.put_symlink(request)

    def link_target(self, key: str) -> str:
        with _refusals():
            found = self.client.get_symlink(oss.GetSymlinkRequest(bucket=self.access.bucket, key=key))
        return unquote(found.target)

    def restore(self, key: str, *, days: int = 1, tier: str | None = None, version: str | None = None) -> Answer:
        job = oss.JobParameters(tier=tier) if tier else None
        request = oss.RestoreObjectRequest(
            bucket=self.access.bucket,
            key=key,
            version_id=version,
            restore_request=oss.RestoreRequest(days=days, job_parameters=job),
        )
        with _refusals():
            result = self.client.restore_object(request)
        return Answer(result.status_code, lower(result.headers), result.request_id)

    def append(self, key: str, position: int, data: bytes) -> int:
        with _refusals():
            result = self.client.append_object(
                oss.AppendObjectRequest(bucket=self.access.bucket, key=key, position=position, body=data)
            )
            return int(result.next_position)

    def copy(
        self,
        source: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        version: str | None = None,
        bucket: str | None = None,
    ) -> str:
        with _refusals():
            result = self.client.copy_object(
                oss.CopyObjectRequest(
                    bucket=self.access.bucket,
                    key=key,
                    source_bucket=bucket,
                    source_key=source,
                    source_version_id=version,
                    headers=dict(headers or {}),
                )
            )
            return bare(result.etag)

    def delete(self, key: str, *, version: str | None = None) -> Mapping[str, str]:
        request = oss.DeleteObjectRequest(bucket=self.access.bucket, key=key, version_id=version)
        with _refusals():
            return lower(self.client.delete_object(request).headers)

    def delete_versions(self, named: Sequence[tuple[str, str | None]]) -> list[Deleted]:
        listed = [oss.ObjectIdentifier(key=key, version_id=version) for key, version in named]
        request = oss.DeleteMultipleObjectsRequest(bucket=self.access.bucket, delete=oss.Delete(objects=listed))
        with _refusals():
            deleted = self.client.delete_multiple_objects(request).deleted_objects
        return [Deleted(one.key, one.version_id, one.delete_marker_version_id) for one in deleted or ()]

    def delete_many(self, keys: Sequence[str]) -> list[str]:
        with _refusals():
            result = self.client.delete_multiple_objects(
                oss.DeleteMultipleObjectsRequest(
                    bucket=self.access.bucket,
                    delete=oss.Delete(objects=[oss.ObjectIdentifier(key=key) for key in keys]),
                )
            )
        return [deleted.key for deleted in result.deleted_objects or ()]

    def list_objects(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, token: str | None = None
    ) -> ObjectsPage:
        with _refusals():
            result = self.client.list_objects_v2(
                oss.ListObjectsV2Request(
                    bucket=self.access.bucket,
                    prefix=prefix,
                    delimiter=delimiter,
                    max_keys=page,
                    continuation_token=token,
                )
            )
        return ObjectsPage(
            keys=[listed.key for listed in result.contents or ()],
            prefixes=[common.prefix for common in result.common_prefixes or ()],
            sizes=[listed.size for listed in result.contents or ()],
            kinds=[listed.object_type for listed in result.contents or ()],
            next_token=result.next_continuation_token if result.is_truncated else None,
        )

    def initiate(self, key: str, *, headers: Mapping[str, str] | None = None) -> str:
        with _refusals():
            result = self.client.initiate_multipart_upload(
                oss.InitiateMultipartUploadRequest(bucket=self.access.bucket, key=key, headers=dict(headers or {}))
            )
            return str(result.upload_id)

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        with _refusals():
            result = self.client.upload_part(
                oss.UploadPartRequest(
                    bucket=self.access.bucket, key=key, upload_id=upload_id, part_number=number, body=data
                )
            )
        return Part(number, bare(result.etag), len(data), int(result.hash_crc64))

    def upload_part_copy(self, key: str, upload_id: str, number: int, source: str, *, start: int, stop: int) -> None:
        with _refusals():
            self.client.upload_part_copy(
                oss.UploadPartCopyRequest(
                    bucket=self.access.bucket,
                    key=key,
                    upload_id=upload_id,
                    part_number=number,
                    source_key=source,
                    source_range=f"bytes={start}-{stop - 1}",
                )
            )

    def list_parts(self, key: str, upload_id: str, *, page: int = 1000, marker: int | None = None) -> PartsPage:
        with _refusals():
            result = self.client.list_parts(
                oss.ListPartsRequest(
                    bucket=self.access.bucket,
                    key=key,
                    upload_id=upload_id,
                    max_parts=page,
                    part_number_marker=None if marker is None else str(marker),
                )
            )
        parts = [
            Part(part.part_number, bare(part.etag), part.size, int(part.hash_crc64)) for part in result.parts or ()
        ]
        return PartsPage(parts, result.next_part_number_marker if result.is_truncated else None)

    def complete(
        self, key: str, upload_id: str, parts: Sequence[Part], *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        listed = [oss.UploadPart(part_number=part.number, etag=part.etag) for part in parts]
        with _refusals():
            return _answer(
                self.client.complete_multipart_upload(
                    oss.CompleteMultipartUploadRequest(
                        bucket=self.access.bucket,
                        key=key,
                        upload_id=upload_id,
                        complete_multipart_upload=oss.CompleteMultipartUpload(parts=listed),
                        headers=dict(headers or {}),
                    )
                )
            )

    def complete_all(self, key: str, upload_id: str) -> Answer:
        with _refusals():
            return _answer(
                self.client.complete_multipart_upload(
                    oss.CompleteMultipartUploadRequest(
                        bucket=self.access.bucket, key=key, upload_id=upload_id, complete_all="yes"
                    )
                )
            )

    def abort(self, key: str, upload_id: str) -> None:
        with _refusals():
            self.client.abort_multipart_upload(
                oss.AbortMultipartUploadRequest(bucket=self.access.bucket, key=key, upload_id=upload_id)
            )

    def list_uploads(self, *, prefix: str = "", page: int = 1000, marker: tuple[str, str] | None = None) -> UploadsPage:
        key_marker, upload_id_marker = marker or (None, None)
        with _refusals():
            result = self.client.list_multipart_uploads(
                oss.ListMultipartUploadsRequest(
                    bucket=self.access.bucket,
                    prefix=prefix,
                    max_uploads=page,
                    key_marker=key_marker,
                    upload_id_marker=upload_id_marker,
                )
            )
        return UploadsPage(
            [(upload.key, upload.upload_id) for upload in result.uploads or ()],
            (result.next_key_marker, result.next_upload_id_marker) if result.is_truncated else None,
        )

    def presign(self, method: str, key: str, *, seconds: int, headers: Mapping[str, str] | None = None) -> SignedURL:
        request = {"GET": oss.GetObjectRequest, "PUT": oss.PutObjectRequest}[method]
        result = self.client.presign(
            request(bucket=self.access.bucket, key=key, headers=dict(headers or {})),
            expires=timedelta(seconds=seconds),
        )
        return SignedURL(result.url, result.signed_headers)

    def list_objects_v1(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, marker: str = ""
    ) -> ObjectsPage:
        with _refusals():
            result = self.client.list_objects(
                oss.ListObjectsRequest(
                    bucket=self.access.bucket, prefix=prefix, delimiter=delimiter, max_keys=page, marker=marker
                )
            )
        return ObjectsPage(
            keys=[listed.key for listed in result.contents or ()],
            prefixes=[common.prefix for common in result.common_prefixes or ()],
            sizes=[listed.size for listed in result.contents or ()],
            kinds=[listed.object_type for listed in result.contents or ()],
            next_token=result.next_marker if result.is_truncated else None,
        )

    def set_versioning(self, status: str) -> None:
        configuration = oss.VersioningConfiguration(status=status)
        with _refusals():
            self.client.put_bucket_versioning(
                oss.PutBucketVersioningRequest(bucket=self.access.bucket, versioning_configuration=configuration)
            )

    def versioning(self) -> str | None:
        with _refusals():
            result = self.client.get_bucket_versioning(oss.GetBucketVersioningRequest(bucket=self.access.bucket))
        return None if result.version_status is None else str(result.version_status)

    def list_versions(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, marker: tuple[str, str] | None = None
    ) -> VersionsPage:
        key, version = marker or (None, None)
        with _refusals():
            result = self.client.list_object_versions(
                oss.ListObjectVersionsRequest(
                    bucket=self.access.bucket,
                    prefix=prefix,
                    delimiter=delimiter,
                    max_keys=page,
                    key_marker=key,
                    version_id_marker=version,
                )
            )
        return VersionsPage(
            [(found.key, found.version_id, found.is_latest) for found in result.version or ()],
            [(found.key, found.version_id) for found in result.delete_marker or ()],
            [common.prefix for common in result.common_prefixes or ()],
            (result.next_key_marker, result.next_version_id_marker) if result.is_truncated else None,
        )

    def list_buckets(self) -> list[str]:
        with _refusals():
            return [bucket.name for bucket in self.client.list_buckets(oss.ListBucketsRequest()).buckets or ()]

    def account(self) -> str:
        with _refusals():
            return str(self.client.list_buckets(oss.ListBucketsRequest(max_keys=1)).owner.id)

    def bucket_info(self) -> BucketFacts:
        with _refusals():
            info = self.client.get_bucket_info(oss.GetBucketInfoRequest(bucket=self.access.bucket)).bucket_info
        return BucketFacts(info.name, info.location, info.storage_class, info.owner.id)

    def bucket_location(self) -> str:
        with _refusals():
            return str(
                self.client.get_bucket_location(oss.GetBucketLocationRequest(bucket=self.access.bucket)).location
            )

    def make_bucket(self) -> None:
        with _refusals():
            self.client.put_bucket(oss.PutBucketRequest(bucket=self.access.bucket))

    def remove_bucket(self) -> None:
        with _refusals():
            self.client.delete_bucket(oss.DeleteBucketRequest(bucket=self.access.bucket))

    def close(self) -> None:
        self._http.close()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except oss.exceptions.OperationError as error:
        refusal = error.unwrap()
        if not isinstance(refusal, oss.exceptions.ServiceError):
            raise
        raise Refused(
            status=refusal.status_code,
            code=refusal.code,
            request_id=refusal.request_id,
            ec=refusal.ec,
            kind=type(refusal).__name__,
            message=refusal.message,
        ) from error


def _answer(result: Any, *, body: bytes = b"") -> Answer:
    return Answer(
        status=result.status_code,
        headers=lower(result.headers),
        request_id=result.request_id,
        etag=bare(result.etag) if result.etag else None,
        crc64=crc64_of(result.headers),
        body=body,
    )
