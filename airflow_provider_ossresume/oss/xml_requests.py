"""The XML that requests send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from airflow_provider_ossresume.model.objects import Receipt


def complete_body(parts: Iterable[Receipt]) -> bytes:
    """Return the body of CompleteMultipartUpload; the parts are in ascending order, as OSS requires."""
    lines = "".join(
        f'<Part><PartNumber>{part.number}</PartNumber><ETag>"{escape(part.etag)}"</ETag></Part>'
        for part in sorted(parts, key=lambda part: part.number)
    )
    return f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()


def delete_body(keys: Iterable[str]) -> bytes:
    """Return the body of DeleteMultipleObjects; OSS then names each key that it deleted."""
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>false</Quiet>{objects}</Delete>".encode()


def tagging_body(tags: Mapping[str, str]) -> bytes:
    """Return the body of PutObjectTagging."""
    lines = "".join(f"<Tag><Key>{escape(key)}</Key><Value>{escape(tags[key])}</Value></Tag>" for key in sorted(tags))
    return f"<Tagging><TagSet>{lines}</TagSet></Tagging>".encode()


def bucket_body(storage_class: str, redundancy: str) -> bytes:
    """Return the body of PutBucket; empty if OSS chooses everything."""
    settings = {"StorageClass": storage_class, "DataRedundancyType": redundancy}
    lines = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in settings.items() if value)
    return f"<CreateBucketConfiguration>{lines}</CreateBucketConfiguration>".encode() if lines else b""
