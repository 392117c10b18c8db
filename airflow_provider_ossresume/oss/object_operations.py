"""Operations on objects: write, append, read, describe, tag, copy and delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from airflow_provider_ossresume.errors import InvalidRange, PreconditionFailed
from airflow_provider_ossresume.model.headers import check_given
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.object_names import check_key, fits_xml
from airflow_provider_ossresume.model.objects import MAX_KEYS_TO_DELETE, CopiedObject, ObjectMeta, ObjectRef
from airflow_provider_ossresume.oss import results, xml_requests, xml_responses
from airflow_provider_ossresume.oss.base_client import BaseClient
from airflow_provider_ossresume.oss.call import Body, Call, copy_source_headers, md5_header, version_query
from airflow_provider_ossresume.oss.in_memory import DiscardingSink
from airflow_provider_ossresume.oss.response import Response
from airflow_provider_ossresume.oss.resumable_get import ResumableGet, Sink
from airflow_provider_ossresume.oss.retry import Attempts


class ObjectOperations(BaseClient):
    """Operations on objects, except multipart uploads."""

    # --- write and read -----------------------------------------------------------------------------------------------

    def put_object(self, target: ObjectRef, body: Body, *, headers: Mapping[str, str] | None = None) -> ObjectMeta:
        """Write an object of at most 5 GiB in one request. OSS refuses a body that is damaged in transit.

        :raises AlreadyExists: with the header ``x-oss-forbid-overwrite: true``, if the object exists
        :raises IntegrityError: if OSS stored other bytes than were sent
        """
        sent = {**check_given(headers), **md5_header(body.content_md5())}
        call = Call("PutObject", "PUT", target.bucket, target.key, headers=sent, body=body)
        return self._execute(call, lambda response: results.stored_object(call, response, body))

    def append_object(
        self, target: ObjectRef, position: int, body: Body, *, headers: Mapping[str, str] | None = None
    ) -> ObjectMeta:
        """Append bytes to an appendable object, or create one. Return the object with its new size, 5 GiB at most.

        If the response to an attempt is lost, the bytes may have been appended. OSS then refuses the next attempt,
        because its position is wrong.

        :param position: the object's present size; 0 creates it
        :raises ServiceError: with the code PositionNotEqualToLength, or ObjectNotAppendable
        """
        sent = {**check_given(headers), **md5_header(body.content_md5())}
        query = {"append": "", "position": str(position)}
        call = Call("AppendObject", "POST", target.bucket, target.key, query, sent, body=body)
        return self._execute(call, lambda response: results.object_meta(call, response, size=position + body.size))

    def get_object(
        self,
        target: ObjectRef,
        sink: Sink,
        *,
        start: int = 0,
        stop: int | None = None,
        may_end_before: bool = False,
        if_match: str | None = None,
        total: int | None = None,
    ) -> ObjectMeta:
        """Write the object's bytes ``[start, stop)`` to the sink, or the whole object if ``stop`` is None.

        If the connection breaks, the next attempt asks for the bytes that are missing, with If-Match.

        :param may_end_before: the object may have fewer than ``stop`` bytes; the sink then gets those that it has
        :param if_match: the ETag that the object must still have
        :param total: the size that it must still have
        :raises PreconditionFailed: if ETag or size differ
        :raises InvalidRange: if the object has no more than ``start`` bytes
        """
        get = ResumableGet(target, sink, start, stop, may_end_before=may_end_before, if_match=if_match, total=total)

        def attempt(attempts: Attempts) -> ObjectMeta:
            call = get.call()

            def read(response: Response) -> ObjectMeta:
                return get.read(call, response, self._object_pieces(response, sink.piece_size, attempts), attempts)

            try:
                return self._attempt(call, read, attempts)
            except (PreconditionFailed, InvalidRange):  # the object has changed; it may be shorter now
                if get.restart():
                    return attempt(attempts)
                raise

        return self._retrying(attempt)

    def check_readable(self, target: ObjectRef, *, if_match: str | None = None) -> None:
        """Read the object's first byte. Unlike HEAD, this shows whether an archived object can be read.

        :raises ObjectArchived: if it cannot
        """
        self.get_object(target, DiscardingSink(), stop=1, if_match=if_match)

    # --- describe -----------------------------------------------------------------------------------------------------

    def head_object(self, target: ObjectRef) -> ObjectMeta:
        """Return an object's metadata.

        :raises NoSuchKey: if the object does not exist
        """
        call = Call("HeadObject", "HEAD", target.bucket, target.key, version_query(target))
        return self._execute(
            call, lambda response: results.object_meta(call, response, size=results.content_length(call, response))
        )

    def get_symlink(self, target: ObjectRef) -> ObjectRef:
        """Return the object that a symbolic link points to."""
        call = Call("GetSymlink", "GET", target.bucket, target.key, {"symlink": "", **version_query(target)})

        def read(response: Response) -> ObjectRef:
            if not (key := response.fields.get("x-oss-symlink-target")):
                raise call.bad_answer("the response has no x-oss-symlink-target")
            return ObjectRef(target.bucket, unquote(key))

        return self._execute(call, read)

    def get_object_acl(self, target: ObjectRef) -> str:
        """Return the object's ACL; ``default`` means its bucket's."""
        call = Call("GetObjectAcl", "GET", target.bucket, target.key, {"acl": "", **version_query(target)})
        return self._execute_xml(call, xml_responses.read_acl)

    # --- tags ---------------------------------------------------------------------------------------------------------

    def get_object_tagging(self, target: ObjectRef) -> dict[str, str]:
        """Return the object's tags."""
        call = Call("GetObjectTagging", "GET", target.bucket, target.key, _tagging_query(target))
        return self._execute_xml(call, xml_responses.read_tags)

    def put_object_tagging(self, target: ObjectRef, tags: Mapping[str, str]) -> None:
        """Replace all tags of an object."""
        body = xml_requests.tagging_body(tags)
        headers = md5_header(content_md5([body]))
        call = Call("PutObjectTagging", "PUT", target.bucket, target.key, _tagging_query(target), headers, body=body)
        self._execute(call, results.nothing)

    def delete_object_tagging(self, target: ObjectRef) -> None:
        """Remove all tags of an object. It is not an error if it has none."""
        call = Call("DeleteObjectTagging", "DELETE", target.bucket, target.key, _tagging_query(target), success=(204,))
        self._execute(call, results.nothing)

    # --- copy and delete ----------------------------------------------------------------------------------------------

    def copy_object(
        self,
        source: ObjectRef,
        target: ObjectRef,
        *,
        headers: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> CopiedObject:
        """Let OSS copy an object, or a version of one, within its region.

        Within a bucket an object may have any size, elsewhere 5 GiB, or 1 GiB if its storage class or encryption
        changes. For larger ones, use ``upload_part_copy``.

        :param if_match: the ETag that the source must still have
        :raises PreconditionFailed: if the source has another ETag
        :raises ObjectTooLarge: if OSS does not copy that many bytes in one request
        :raises ObjectArchived: if the source is archived and not restored
        :raises NoSuchKey: if the source does not exist
        """
        sent = {**check_given(headers), **copy_source_headers(source, if_match)}
        call = Call("CopyObject", "PUT", target.bucket, target.key, headers=sent)
        return self._execute(call, lambda response: results.copied_object(call, response, self._pieces(call, response)))

    def delete_object(self, target: ObjectRef) -> None:
        """Delete an object. One that does not exist counts as deleted."""
        self._execute(Call("DeleteObject", "DELETE", target.bucket, target.key, success=(204,)), results.nothing)

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> list[str]:
        """Delete any number of objects, 1,000 in each request. Return the keys that OSS reports as deleted.

        A key that XML cannot carry, such as one with a line break, takes a request of its own.
        """
        gone: list[str] = []
        for key in keys:
            if not fits_xml(check_key(key)):
                self.delete_object(ObjectRef(bucket, key))
                gone.append(key)
        keys = [key for key in keys if fits_xml(key)]
        for first in range(0, len(keys), MAX_KEYS_TO_DELETE):
            body = xml_requests.delete_body(keys[first : first + MAX_KEYS_TO_DELETE])
            call = Call(
                "DeleteMultipleObjects", "POST", bucket, query={"delete": "", "encoding-type": "url"},
                headers=md5_header(content_md5([body])), body=body,
            )  # fmt: skip
            gone += self._execute_xml(call, xml_responses.read_deleted)
        return gone


def _tagging_query(target: ObjectRef) -> dict[str, str]:
    return {"tagging": "", **version_query(target)}
