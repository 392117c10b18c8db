"""Stores buckets, objects, and multipart uploads with their parts in a folder.

::

    root/buckets    records in JSON; see ``records``
    root/data       bytes; see ``contents``
"""

from __future__ import annotations

import uuid

from airflow_provider_ossresume.local_oss.answers import Refusal
from airflow_provider_ossresume.local_oss.contents import Content
from airflow_provider_ossresume.local_oss.names import check_key
from airflow_provider_ossresume.local_oss.object_storage import ObjectStorage
from airflow_provider_ossresume.local_oss.records import StoredObject, StoredPart, Upload


class Storage(ObjectStorage):
    """The objects and the multipart uploads. Any thread may call the methods."""

    def initiate(self, bucket: str, key: str, headers: dict[str, str]) -> Upload:
        """Begin an upload."""
        check_key(key)
        with self._lock:
            upload = Upload(key, uuid.uuid4().hex.upper(), headers, self._clock())
            self.bucket(bucket).uploads[upload.upload_id] = upload
            self._records.write_upload(self.bucket(bucket), upload)
            return upload

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Return an upload."""
        check_key(key)
        with self._lock:
            upload = self.bucket(bucket).uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Refusal(
                404,
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
                "aborted or completed.",
                details={"UploadId": upload_id},
            )
        return upload

    def put_part(self, bucket: str, upload: Upload, number: int, content: Content) -> StoredPart:
        """Store a part and replace an existing one. If the upload is gone by now, discard the part and refuse."""
        with upload.lock:
            try:
                self.upload(bucket, upload.key, upload.upload_id)
            except Refusal:
                self.contents.discard(content)
                raise
            part = StoredPart(number, content, self._clock())
            self._records.write_part(self.bucket(bucket), upload, part)
            before, upload.parts[number] = upload.parts.get(number), part
        if before:
            self.contents.discard(before.content)
        return part

    def complete(self, bucket: str, upload: Upload, stored: StoredObject, *, forbid_overwrite: bool) -> StoredObject:
        """Make the object visible and end its upload, in one step. The caller holds the upload's lock."""
        with self._lock:
            stored = self.put(bucket, stored, forbid_overwrite=forbid_overwrite)
            self._forget(bucket, upload)
        return stored

    def abort(self, bucket: str, upload: Upload) -> None:
        """End an upload and remove its parts."""
        with upload.lock, self._lock:
            self.upload(bucket, upload.key, upload.upload_id)
            self._forget(bucket, upload)

    def list_uploads(self, bucket: str) -> list[Upload]:
        """Return a bucket's uploads by key, then by ID."""
        with self._lock:
            uploads = self.bucket(bucket).uploads.values()
            return sorted(uploads, key=lambda upload: (upload.key, upload.upload_id))

    def _forget(self, bucket: str, upload: Upload) -> None:
        del self.bucket(bucket).uploads[upload.upload_id]
        self._records.remove_upload(self.bucket(bucket), upload)
        for part in upload.parts.values():
            self.contents.discard(part.content)
