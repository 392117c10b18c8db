"""The operations that remove objects, and versions of them."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from airflow_provider_ossresume.local_oss.answers import Answer, Children, Refusal, invalid_argument, xml_answer
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.names import check_key
from airflow_provider_ossresume.local_oss.object_storage import Deletion
from airflow_provider_ossresume.local_oss.service import (
    Service,
    encoder,
    encoding_element,
    named,
    parse_xml,
    whole_body,
)

MAX_DELETE_COUNT = 1000  # OSS: keys in one DeleteMultipleObjects


def delete_object(service: Service, request: IncomingRequest) -> Answer:
    """Remove an object, or a version of it. It is not an error if it does not exist."""
    done = service.storage.delete(*named(request)) or Deletion()
    headers = {"x-oss-version-id": done.version} if done.version else {}
    return Answer(204, headers | ({"x-oss-delete-marker": "true"} if done.is_marker else {}))


def delete_multiple_objects(service: Service, request: IncomingRequest) -> Answer:
    """Remove the objects and versions that the body names."""
    bucket, encode = request.target[0], encoder(request.query)
    service.storage.bucket(bucket)
    if "content-md5" not in request.headers:
        raise invalid_argument("Content-MD5", "", message="Missing Some Required Arguments.")
    root = parse_xml(whole_body(request), root="Delete")
    wanted = [_wanted(element) for element in root.iter("Object")]
    if not 1 <= len(wanted) <= MAX_DELETE_COUNT:
        raise Refusal(400, "MalformedXML", f"A request deletes 1 to {MAX_DELETE_COUNT} objects.")
    for key, _ in wanted:
        check_key(key)
    done = [(key, version, service.storage.delete(bucket, key, version)) for key, version in wanted]
    if (root.findtext("Quiet") or "").strip().lower() == "true":
        return Answer()
    deleted = [("Deleted", [("Key", encode(key)), *_deletion_facts(version, what)]) for key, version, what in done]
    return xml_answer("DeleteResult", [*encoding_element(request.query), *deleted])


def _wanted(element: Element) -> tuple[str, str]:
    version = element.findtext("VersionId")
    if version == "":
        raise invalid_argument("VersionId", "", ec="0016-00000612", message="The version ID is empty.")
    return element.findtext("Key") or "", version or ""


def _deletion_facts(version: str, done: Deletion | None) -> Children:
    facts = [("VersionId", version)] if version else []
    if done and done.is_marker:
        facts += [("DeleteMarker", "true"), ("DeleteMarkerVersionId", done.version)]
    return facts
