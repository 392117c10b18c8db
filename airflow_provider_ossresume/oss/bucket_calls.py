"""The operations that list, make and remove buckets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_provider_ossresume.model.headers import check_given
from airflow_provider_ossresume.model.objects import ListedBucket
from airflow_provider_ossresume.oss import messages, results
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.exchanging import Exchanging


class BucketCalls(Exchanging):
    """Buckets as a whole."""

    def list_buckets(self) -> Iterator[ListedBucket]:
        """Yield the buckets of the account that the Access Key belongs to, by name."""
        marker: str | None = ""
        while marker is not None:
            query = {"max-keys": "1000", **({"marker": marker} if marker else {})}
            call = Call("ListBuckets", "GET", query=query)
            page = self._exchange_xml(call, messages.read_buckets)
            yield from page.buckets
            if page.next_marker is not None and page.next_marker <= marker:
                raise call.bad_answer("the listing does not advance")
            marker = page.next_marker

    def put_bucket(
        self, bucket: str, *, storage_class: str = "", redundancy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Make a bucket in the endpoint's region. One of this account that is there already stays, but for its ACL.

        :param storage_class: ``Standard`` by default
        :param redundancy: ``LRS`` by default, or ``ZRS``
        :param headers: such as ``x-oss-acl``
        :raises ServiceError: with the code BucketAlreadyExists when it is another account's, or is there in another
            region
        """
        body = messages.bucket_body(storage_class, redundancy)
        call = Call("PutBucket", "PUT", bucket, headers=check_given(headers), body=body or None)
        self._exchange(call, results.nothing)

    def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket.

        :raises ServiceError: with the code BucketNotEmpty while it holds objects, versions of some, or uploads
        :raises NoSuchBucket: when there is none; perhaps an earlier attempt's response was lost
        """
        self._exchange(Call("DeleteBucket", "DELETE", bucket, success=(204,)), results.nothing)
