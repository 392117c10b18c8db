"""The operations on buckets."""

from __future__ import annotations

from airflow_provider_ossresume.local_oss.answers import Answer, Children, Refusal, document, xml_answer, xml_date
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.pages import DEFAULT_PAGE, MAX_PAGE, is_truncated, page_of
from airflow_provider_ossresume.local_oss.records import Bucket
from airflow_provider_ossresume.local_oss.service import OWNER, Service, number_argument


def list_buckets(service: Service, request: IncomingRequest) -> Answer:
    """List the buckets."""
    query = request.query
    limit = number_argument(query, "max-keys", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    buckets = {bucket.name: bucket for bucket in service.storage.buckets()}
    prefix, marker = query.get("prefix", ""), query.get("marker", "")
    page = page_of(list(buckets), prefix=prefix, delimiter="", marker=marker, limit=limit)
    facts: list[tuple[str, str | int | Children]] = [
        ("Prefix", prefix),
        ("Marker", marker),
        ("MaxKeys", limit),
        ("IsTruncated", is_truncated(page.next_marker)),
        ("NextMarker", page.next_marker or ""),
        ("Owner", OWNER),
        ("Buckets", [("Bucket", _bucket_facts(service, request, buckets[name])) for name in page.names]),
    ]
    return xml_answer("ListAllMyBucketsResult", facts)


def get_bucket_info(service: Service, request: IncomingRequest) -> Answer:
    """Return a bucket's region and endpoints."""
    bucket = service.storage.bucket(request.bucket or "")
    facts: Children = [
        *_bucket_facts(service, request, bucket),
        ("Owner", OWNER),
        ("AccessControlList", [("Grant", "private")]),
        ("DataRedundancyType", "LRS"),
        *([("Versioning", bucket.versioning)] if bucket.versioning else []),
    ]
    return xml_answer("BucketInfo", [("Bucket", facts)])


def _bucket_facts(service: Service, request: IncomingRequest, bucket: Bucket) -> list[tuple[str, str | Children]]:
    return [
        ("Name", bucket.name),
        ("CreationDate", xml_date(bucket.created)),
        ("Location", f"oss-{service.region}"),
        ("Region", service.region),
        ("StorageClass", "Standard"),
        ("ExtranetEndpoint", request.host),
        ("IntranetEndpoint", request.host),
    ]


def get_bucket_location(service: Service, request: IncomingRequest) -> Answer:
    """Return a bucket's region."""
    service.storage.bucket(request.bucket or "")
    body = document("LocationConstraint", f"oss-{service.region}")
    return Answer(200, {"Content-Type": "application/xml"}, body)


def get_bucket_worm(service: Service, request: IncomingRequest) -> Answer:
    """Return how long a bucket's objects are protected."""
    bucket = service.storage.bucket(request.bucket or "")
    if not bucket.retention_days:
        raise Refusal(404, "NoSuchWORMConfiguration", "The WORM Configuration does not exist.")
    facts: list[tuple[str, str | int | Children]] = [
        ("WormId", "1666E2CFB2B3418****"),
        ("State", "Locked"),
        ("RetentionPeriodInDays", bucket.retention_days),
        ("CreationDate", xml_date(bucket.created)),
    ]
    return xml_answer("WormConfiguration", facts)


def put_bucket(service: Service, request: IncomingRequest) -> Answer:
    """Create a bucket. One that exists already stays as it is."""
    service.storage.create_bucket(request.bucket or "")
    return Answer(200, {"Location": f"/{request.bucket}"})


def delete_bucket(service: Service, request: IncomingRequest) -> Answer:
    """Remove an empty bucket."""
    service.storage.delete_bucket(request.bucket or "")
    return Answer(204)
