"""Operations on buckets: list their objects, describe, create and delete them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_provider_ossresume.errors import ServiceError
from airflow_provider_ossresume.model.headers import check_given
from airflow_provider_ossresume.model.objects import ListedBucket, ListedObject
from airflow_provider_ossresume.oss import results, xml_requests, xml_responses
from airflow_provider_ossresume.oss.base_client import BaseClient
from airflow_provider_ossresume.oss.call import Call, next_marker, without_empty
from airflow_provider_ossresume.oss.xml_responses import BucketInfo, ObjectsPage, ServiceInfo


class BucketOperations(BaseClient):
    """Operations on buckets."""

    # --- their objects ------------------------------------------------------------------------------------------------

    def list_objects(
        self, bucket: str, *, prefix: str = "", start_after: str = "", delimiter: str = ""
    ) -> Iterator[ListedObject]:
        """Yield the bucket's objects in the order of their keys' bytes.

        With a delimiter, yield only those whose key does not contain it after the prefix.
        """
        for page in self.list_pages(bucket, prefix=prefix, start_after=start_after, delimiter=delimiter):
            yield from page.objects

    def list_pages(
        self, bucket: str, *, prefix: str = "", start_after: str = "", delimiter: str = "", page_size: int = 1000
    ) -> Iterator[ObjectsPage]:
        """Yield the pages of a listing. With a delimiter, a page also has the common prefixes, which end with it.

        :param page_size: how many objects and prefixes a page has at most, 1 to 1,000
        """
        token: str | None = ""
        while token is not None:
            query = {"list-type": "2", "max-keys": str(page_size), "encoding-type": "url", "prefix": prefix}
            query |= {"continuation-token": token, "start-after": start_after, "delimiter": delimiter}
            call = Call("ListObjectsV2", "GET", bucket, query=without_empty(query))
            page = self._execute_xml(call, xml_responses.read_objects)
            yield page
            token = next_marker(call, token, page.next_token)

    # --- describe -----------------------------------------------------------------------------------------------------

    def get_bucket_info(self, bucket: str) -> BucketInfo:
        """Return the bucket's region, endpoints, storage class and owner."""
        call = Call("GetBucketInfo", "GET", bucket, query={"bucketInfo": ""})
        return self._execute_dated(call, xml_responses.read_bucket_info)

    def get_retention_days(self, bucket: str) -> int:
        """Return for how many days the bucket's retention policy (WORM) protects each object; 0 without a policy."""
        call = Call("GetBucketWorm", "GET", bucket, query={"worm": ""})
        try:
            return self._execute_xml(call, xml_responses.read_retention_days)
        except ServiceError as error:
            if error.code != "NoSuchWORMConfiguration":
                raise
            return 0

    def get_service_info(self) -> ServiceInfo:
        """Return the owner of the Access Key, as ListBuckets shows it. Buckets are left out."""
        call = Call("ListBuckets", "GET", query={"max-keys": "1"})
        return self._execute_dated(call, xml_responses.read_service_info)

    def list_buckets(self) -> Iterator[ListedBucket]:
        """Yield the buckets of the account that the Access Key belongs to, by name."""
        marker: str | None = ""
        while marker is not None:
            query = {"max-keys": "1000", **({"marker": marker} if marker else {})}
            call = Call("ListBuckets", "GET", query=query)
            page = self._execute_xml(call, xml_responses.read_buckets)
            yield from page.buckets
            if page.next_marker is not None and page.next_marker <= marker:
                raise call.bad_answer("the listing does not advance")
            marker = page.next_marker

    # --- create and delete --------------------------------------------------------------------------------------------

    def put_bucket(
        self, bucket: str, *, storage_class: str = "", redundancy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Create a bucket in the endpoint's region. If this account has it already, only its ACL may change.

        :param storage_class: ``Standard`` by default
        :param redundancy: ``LRS`` by default, or ``ZRS``
        :param headers: such as ``x-oss-acl``
        :raises ServiceError: with the code BucketAlreadyExists if the bucket belongs to another account, or is in
            another region
        """
        body = xml_requests.bucket_body(storage_class, redundancy)
        call = Call("PutBucket", "PUT", bucket, headers=check_given(headers), body=body or None)
        self._execute(call, results.nothing)

    def delete_bucket(self, bucket: str) -> None:
        """Delete an empty bucket.

        :raises ServiceError: with the code BucketNotEmpty if it has objects, versions of objects, or uploads
        :raises NoSuchBucket: if it does not exist; perhaps the response to an earlier attempt was lost
        """
        self._execute(Call("DeleteBucket", "DELETE", bucket, success=(204,)), results.nothing)
