"""The judge ``ali-oss``: Alibaba's npm client, in one node process for the whole test session."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

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

HERE = Path(__file__).parent


class NodeMissing(Exception):
    """ali-oss cannot be asked here; the message says what to do."""


class AliOssProcess:
    """Runs ``judge.mjs`` and asks it one call at a time."""

    def __init__(self) -> None:
        node = shutil.which("node")
        if node is None:
            raise NodeMissing("node is not installed, so the npm client ali-oss cannot judge")
        if not (HERE / "node_modules" / "ali-oss").is_dir():
            raise NodeMissing("the npm client ali-oss is not installed: make tests/conformance/node_modules/ready")
        self._process = subprocess.Popen(
            [node, "judge.mjs"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, call: str, access: Mapping[str, object], asked: Mapping[str, object]) -> dict[str, Any]:
        """Return what the call answered. Raises :class:`Refused` when ali-oss threw."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"call": call, "access": access, "asked": asked}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"judge.mjs ended with {self._process.wait()}; its stderr is above"
        said = json.loads(line)
        if "refused" in said:
            raise _refused(said["refused"])
        answer: dict[str, Any] = said["answer"]
        return answer

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class AliOss(WithAccess):
    name: ClassVar[str] = "ali-oss"
    cannot: ClassVar[Mapping[str, str]] = {
        "dot segments": "urllib builds a WHATWG URL, which resolves .. and . before it is sent",
        "complete out of order": "completeMultipartUpload sorts the parts",
        "complete all": "completeMultipartUpload always sends a body, and x-oss-complete-all allows none",
        "restore again": "restore takes only 202 for a success, and an object that is restored already answers 200",
        "list control characters": "the listing is asked for without encoding-type, and XML has no such characters",
    }

    def __init__(self, access: Access, *, signature: str, process: AliOssProcess, path_style: bool = True) -> None:
        super().__init__(access, signature=signature)
        self._process = process
        self._path_style = path_style

    def with_access(self, **changes: str | None) -> AliOss:
        return AliOss(
            Access(**{**asdict(self.access), **changes}),
            signature=self.signature,
            process=self._process,
            path_style=self._path_style,
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
        sent = dict(headers or {})
        if content_type:
            sent["Content-Type"] = content_type
        return _answer(self._ask("put", key=key, data=_base64(data), meta=dict(meta or {}), headers=sent))

    def put_stream(self, key: str, pieces: Sequence[bytes]) -> Answer:
        return _answer(self._ask("putStream", key=key, pieces=[_base64(piece) for piece in pieces]))

    def get(
        self, key: str, *, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
    ) -> Answer:
        return _answer(self._ask("get", key=key, headers=dict(headers or {}), query=dict(query or {})))

    def head(self, key: str) -> Answer:
        return _answer(self._ask("head", key=key))

    def object_meta(self, key: str) -> Answer:
        return _answer(self._ask("objectMeta", key=key))

    def acl(self, key: str) -> str:
        return str(self._ask("acl", key=key)["acl"])

    def tags(self, key: str) -> dict[str, str]:
        return dict(self._ask("tags", key=key)["tags"])

    def put_tags(self, key: str, tags: Mapping[str, str]) -> None:
        self._ask("putTags", key=key, tags=dict(tags))

    def delete_tags(self, key: str) -> None:
        self._ask("deleteTags", key=key)

    def put_link(self, key: str, target: str, *, headers: Mapping[str, str] | None = None) -> None:
        self._ask("putLink", key=key, target=target, headers=dict(headers or {}))

    def link_target(self, key: str) -> str:
        return str(self._ask("linkTarget", key=key)["target"])

    def restore(self, key: str, *, days: int = 1, tier: str | None = None, version: str | None = None) -> Answer:
        return _answer(self._ask("restore", key=key, days=days, tier=tier, version=version))

    def append(self, key: str, position: int, data: bytes) -> int:
        return int(self._ask("append", key=key, position=position, data=_base64(data))["position"])

    def copy(
        self,
        source: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        version: str | None = None,
        bucket: str | None = None,
    ) -> str:
        sent = {"headers": dict(headers or {}), "version": version, "bucket": bucket}
        return bare(self._ask("copy", source=source, key=key, **sent)["etag"])

    def delete(self, key: str, *, version: str | None = None) -> Mapping[str, str]:
        return lower(self._ask("delete", key=key, version=version)["headers"])

    def delete_versions(self, named: Sequence[tuple[str, str | None]]) -> list[Deleted]:
        listed = [{"key": key, "versionId": version} if version else key for key, version in named]
        deleted = self._ask("deleteMulti", named=listed)["deleted"]
        return [Deleted(one["Key"], one.get("VersionId"), one.get("DeleteMarkerVersionId")) for one in deleted]

    def delete_many(self, keys: Sequence[str]) -> list[str]:
        return list(self._ask("deleteMany", keys=list(keys))["keys"])

    def list_objects(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, token: str | None = None
    ) -> ObjectsPage:
        said = self._ask("list", prefix=prefix, delimiter=delimiter, page=page, token=token)
        return ObjectsPage(said["keys"], said["prefixes"], said["sizes"], said["nextToken"], said["kinds"])

    def initiate(self, key: str, *, headers: Mapping[str, str] | None = None) -> str:
        return str(self._ask("initiate", key=key, headers=dict(headers or {}))["uploadId"])

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        answer = _answer(self._ask("uploadPart", key=key, uploadId=upload_id, number=number, data=_base64(data)))
        assert answer.etag
        return Part(number, answer.etag, len(data), answer.crc64)

    def upload_part_copy(self, key: str, upload_id: str, number: int, source: str, *, start: int, stop: int) -> None:
        self._ask("uploadPartCopy", key=key, uploadId=upload_id, number=number, source=source, start=start, stop=stop)

    def list_parts(self, key: str, upload_id: str, *, page: int = 1000, marker: int | None = None) -> PartsPage:
        said = self._ask("listParts", key=key, uploadId=upload_id, page=page, marker=marker)
        parts = [Part(part["number"], bare(part["etag"]), part["size"], int(part["crc64"])) for part in said["parts"]]
        return PartsPage(parts, said["nextMarker"])

    def complete(
        self, key: str, upload_id: str, parts: Sequence[Part], *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        listed = [{"number": part.number, "etag": part.etag} for part in parts]
        return _answer(self._ask("complete", key=key, uploadId=upload_id, parts=listed, headers=dict(headers or {})))

    def complete_all(self, key: str, upload_id: str) -> Answer:
        raise NotImplementedError(self.cannot["complete all"])

    def abort(self, key: str, upload_id: str) -> None:
        self._ask("abort", key=key, uploadId=upload_id)

    def list_uploads(self, *, prefix: str = "", page: int = 1000, marker: tuple[str, str] | None = None) -> UploadsPage:
        said = self._ask("listUploads", prefix=prefix, page=page, marker=marker)
        uploads = [(key, upload_id) for key, upload_id in said["uploads"]]
        return UploadsPage(uploads, tuple(said["nextMarker"]) if said["nextMarker"] else None)

    def presign(self, method: str, key: str, *, seconds: int, headers: Mapping[str, str] | None = None) -> SignedURL:
        sent = dict(headers or {})
        return SignedURL(self._ask("presign", method=method, key=key, seconds=seconds, headers=sent)["url"], sent)

    def list_objects_v1(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, marker: str = ""
    ) -> ObjectsPage:
        said = self._ask("listV1", prefix=prefix, delimiter=delimiter, page=page, marker=marker)
        return ObjectsPage(said["keys"], said["prefixes"], said["sizes"], said["nextToken"], said["kinds"])

    def set_versioning(self, status: str) -> None:
        self._ask("putVersioning", status=status)

    def versioning(self) -> str | None:
        status: str | None = self._ask("getVersioning").get("status")
        return status

    def list_versions(
        self, *, prefix: str = "", delimiter: str = "", page: int = 100, marker: tuple[str, str] | None = None
    ) -> VersionsPage:
        said = self._ask("listVersions", prefix=prefix, delimiter=delimiter, page=page, marker=marker)
        return VersionsPage(
            [(found["name"], found["versionId"], found["isLatest"]) for found in said["objects"]],
            [(found["name"], found["versionId"]) for found in said["markers"]],
            said["prefixes"],
            tuple(said["nextMarker"]) if said["nextMarker"] else None,
        )

    def list_buckets(self) -> list[str]:
        return list(self._ask("listBuckets")["names"])

    def account(self) -> str:
        return str(self._ask("account")["owner"])

    def bucket_info(self) -> BucketFacts:
        said = self._ask("bucketInfo")
        return BucketFacts(said["name"], said["location"], said["storageClass"], said["owner"])

    def bucket_location(self) -> str:
        return str(self._ask("bucketLocation")["location"])

    def make_bucket(self) -> None:
        self._ask("makeBucket")

    def remove_bucket(self) -> None:
        self._ask("removeBucket")

    def multipart_upload(
        self, key: str, file: Path, *, part_size: int, parallel: int, checkpoint: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], Refused | None]:
        """Run ali-oss's own transfer; return the checkpoint it reached, and why it stopped if it did."""
        said = self._ask(
            "multipartUpload", key=key, file=str(file), partSize=part_size, parallel=parallel, checkpoint=checkpoint
        )
        return said["checkpoint"], _refused(said["refused"]) if said["refused"] else None

    def _ask(self, call: str, **asked: object) -> dict[str, Any]:
        # ali-oss sends the Host header of Alibaba's cloud to an endpoint that is an IP address, even in path style.
        endpoint = self.access.endpoint.replace("127.0.0.1", "localhost") if self._path_style else self.access.endpoint
        access = {
            "endpoint": endpoint,
            "region": self.access.region,
            "bucket": self.access.bucket,
            "accessKeyId": self.access.access_key_id,
            "accessKeySecret": self.access.access_key_secret,
            "securityToken": self.access.security_token,
            "signature": self.signature,
            "pathStyle": self._path_style,
        }
        return self._process.ask(call, access, asked)


def _refused(said: Mapping[str, Any]) -> Refused:
    return Refused(
        status=said["status"],
        code=said["code"],
        request_id=said["requestId"],
        ec=said["ec"],
        kind=said["kind"],
        message=said["message"],
    )


def _answer(said: Mapping[str, Any]) -> Answer:
    headers = lower(said["headers"])
    return Answer(
        status=said["status"],
        headers=headers,
        request_id=headers.get("x-oss-request-id", ""),
        etag=bare(headers["etag"]) if "etag" in headers else None,
        crc64=crc64_of(headers),
        body=base64.b64decode(said["body"]),
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
