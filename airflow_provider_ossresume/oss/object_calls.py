"""Operations that change an object, beside those that write it whole."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ossresume.model.headers import check_given
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.oss import messages, results
from airflow_provider_ossresume.oss.call import Body, Call
from airflow_provider_ossresume.oss.exchanging import Exchanging


class ObjectCalls(Exchanging):
    """Appending to an object, and its tags."""

    def append_object(
        self, target: ObjectRef, position: int, body: Body, *, headers: Mapping[str, str] | None = None
    ) -> ObjectMeta:
        """Append bytes to an appendable object, or create one, and return its new size. It holds 5 GiB at most.

        If the response to an attempt is lost, the bytes may be there: the next attempt is then refused by its position.

        :param position: the object's present size; 0 creates it
        :raises ServiceError: with the code PositionNotEqualToLength, or ObjectNotAppendable
        """
        md5 = body.content_md5()
        sent = {**check_given(headers), **({"Content-MD5": md5} if md5 else {})}
        query = {"append": "", "position": str(position)}
        call = Call("AppendObject", "POST", target.bucket, target.key, query, sent, body=body)
        return self._exchange(call, lambda response: results.object_meta(call, response, size=position + body.size))

    def put_object_tagging(self, target: ObjectRef, tags: Mapping[str, str]) -> None:
        """Give an object these tags in place of those that it has."""
        body = messages.tagging_body(tags)
        headers = {"Content-MD5": md5} if (md5 := content_md5([body])) else {}
        call = Call("PutObjectTagging", "PUT", target.bucket, target.key, _tagging_query(target), headers, body=body)
        self._exchange(call, results.nothing)

    def delete_object_tagging(self, target: ObjectRef) -> None:
        """Take all tags from an object; one that has none stays as it is."""
        call = Call("DeleteObjectTagging", "DELETE", target.bucket, target.key, _tagging_query(target), success=(204,))
        self._exchange(call, results.nothing)


def _tagging_query(target: ObjectRef) -> dict[str, str]:
    return {"tagging": "", **({"versionId": target.version_id} if target.version_id else {})}
