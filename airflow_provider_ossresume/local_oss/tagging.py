"""The operations on an object's tags. The tags that come with an object's bytes are checked in ``service``."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from airflow_provider_ossresume.local_oss.answers import Answer, Children, xml_answer
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.records import StoredObject
from airflow_provider_ossresume.local_oss.service import (
    TAGGING,
    Service,
    check_tags,
    named,
    parse_xml,
    tags_of,
    version_of,
    whole_body,
)


def put_object_tagging(service: Service, request: IncomingRequest) -> Answer:
    """Replace all tags of an object with those in the body. Its date stays."""
    root = parse_xml(whole_body(request), root="Tagging")
    tags = [(element.findtext("Key") or "", element.findtext("Value") or "") for element in root.iter("Tag")]
    check_tags(tags)
    tagging = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in tags)
    return Answer(200, version_of(_changed(service, request, tagging or None)))


def get_object_tagging(service: Service, request: IncomingRequest) -> Answer:
    """Return an object's tags."""
    stored = service.storage.object(*named(request))
    tags: Children = [
        ("Tag", [("Key", key), ("Value", value)]) for key, value in tags_of(stored.headers.get(TAGGING, ""))
    ]
    return xml_answer("Tagging", [("TagSet", tags)], headers=version_of(stored))


def delete_object_tagging(service: Service, request: IncomingRequest) -> Answer:
    """Remove all tags of an object. It is not an error if it has none."""
    return Answer(204, version_of(_changed(service, request, None)))


def _changed(service: Service, request: IncomingRequest, tagging: str | None) -> StoredObject:
    given = {} if tagging is None else {TAGGING: tagging}

    def change(stored: StoredObject) -> StoredObject:
        others = {name: value for name, value in stored.headers.items() if name != TAGGING}
        return replace(stored, headers=others | given)

    return service.storage.change(*named(request), change=change)[1]
