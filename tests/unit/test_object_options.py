"""What an upload says of its object: from names to headers, and what is refused before anything is sent."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.object_options import ObjectOptions, object_headers, request_headers

TYPE = {"Content-Type": "application/octet-stream"}
CET = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"content_type": "text/csv"}, {"Content-Type": "text/csv"}),
        ({"content_encoding": "gzip"}, {"Content-Encoding": "gzip"}),
        ({"content_disposition": "attachment"}, {"Content-Disposition": "attachment"}),
        ({"content_language": "zh-CN"}, {"Content-Language": "zh-CN"}),
        ({"cache_control": "no-cache"}, {"Cache-Control": "no-cache"}),
        ({"expires": datetime(2030, 1, 31, 12, tzinfo=CET)}, {"Expires": "Thu, 31 Jan 2030 11:00:00 GMT"}),
        ({"expires": "2030-01-31T12:00:00Z"}, {"Expires": "Thu, 31 Jan 2030 12:00:00 GMT"}),
        ({"expires": "2030-01-31 12:00:00+01:00"}, {"Expires": "Thu, 31 Jan 2030 11:00:00 GMT"}),
        ({"expires": "Thu, 31 Jan 2030 11:00:00 GMT"}, {"Expires": "Thu, 31 Jan 2030 11:00:00 GMT"}),
        ({"metadata": {"Who": "wir äöü", "n": "1"}}, {"x-oss-meta-Who": "wir äöü", "x-oss-meta-n": "1"}),
        ({"tags": {"b": "x y", "a:a": "/+="}}, {"x-oss-tagging": "a%3Aa=%2F%2B%3D&b=x%20y"}),
        ({"storage_class": "DeepColdArchive"}, {"x-oss-storage-class": "DeepColdArchive"}),
        ({"acl": "public-read"}, {"x-oss-object-acl": "public-read"}),
        ({"server_side_encryption": "AES256"}, {"x-oss-server-side-encryption": "AES256"}),
        (
            {"server_side_encryption": "KMS", "sse_kms_key_id": "id", "sse_data_encryption": "SM4"},
            {
                "x-oss-server-side-encryption": "KMS",
                "x-oss-server-side-encryption-key-id": "id",
                "x-oss-server-side-data-encryption": "SM4",
            },
        ),
        ({"request_payer": "requester"}, {"x-oss-request-payer": "requester"}),
        ({"traffic_limit": 819_200}, {"x-oss-traffic-limit": "819200"}),
        ({"traffic_limit": "838860800"}, {"x-oss-traffic-limit": "838860800"}),
        ({"headers": {"x-oss-callback": "e30="}}, {"x-oss-callback": "e30="}),
        ({"headers": {"content-type": "text/x-mine"}}, {"content-type": "text/x-mine"}),
        ({}, {}),
    ],
)
def test_each_option_becomes_its_header(options: Any, headers: dict[str, str]) -> None:
    has_type = any(name.lower() == "content-type" for name in headers)

    assert object_headers("key", options) == {**({} if has_type else TYPE), **headers}


@pytest.mark.parametrize("value", [1, 1.5, True, False, None, ["a"], {"a": "b"}])
@pytest.mark.parametrize("argument", ["metadata", "tags", "headers"])
def test_what_a_native_template_made_of_a_text_is_refused_by_name(argument: str, value: object) -> None:
    options: Any = {argument: {"kept": "1", "version": value}}

    with pytest.raises(ArgumentError, match="give a string") as caught:
        object_headers("key", options)

    assert caught.value.argument == f"{argument}['version']"
    assert "{{ params.x | string | tojson }}" in str(caught.value)


@pytest.mark.parametrize("name", [1, None, True])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    options: Any = {"metadata": {name: "value"}}

    with pytest.raises(ArgumentError, match="give a string"):
        object_headers("key", options)


def test_what_is_empty_is_left_to_oss() -> None:
    nothing: Any = dict.fromkeys(ObjectOptions.__annotations__) | {"tags": {}, "metadata": {}, "storage_class": ""}

    assert object_headers("key", nothing) == TYPE
    assert request_headers(request_payer=None, traffic_limit=None) == {}


@pytest.mark.parametrize(
    ("key", "content_type"),
    [("a.json", "application/json"), ("a.csv.gz", TYPE["Content-Type"]), ("a", TYPE["Content-Type"])],
)
def test_the_content_type_is_guessed_from_the_key(key: str, content_type: str) -> None:
    assert object_headers(key, {}) == {"Content-Type": content_type}


def test_the_order_of_tags_makes_no_difference() -> None:
    assert object_headers("key", {"tags": {"a": "1", "b": "2"}}) == object_headers(
        "key", {"tags": {"b": "2", "a": "1"}}
    )


@pytest.mark.parametrize(
    ("options", "argument", "says"),
    [
        ({"storage_class": "Cold"}, "storage_class", "choose one of 'Standard', 'IA', 'Archive', 'ColdArchive'"),
        ({"acl": "public"}, "acl", "choose one of 'default', 'private', 'public-read', 'public-read-write'"),
        ({"server_side_encryption": "AES"}, "server_side_encryption", "choose one of 'AES256', 'KMS', 'SM4'"),
        ({"server_side_encryption": "KMS", "sse_data_encryption": "AES256"}, "sse_data_encryption", "one of 'SM4'"),
        ({"sse_kms_key_id": "id"}, "sse_kms_key_id", "it needs server_side_encryption='KMS'"),
        ({"server_side_encryption": "SM4", "sse_kms_key_id": "id"}, "sse_kms_key_id", "='KMS'; set that"),
        ({"sse_data_encryption": "SM4"}, "sse_data_encryption", "it needs server_side_encryption='KMS'"),
        ({"request_payer": "me"}, "request_payer", "choose one of 'requester'"),
        ({"traffic_limit": 819_199}, "traffic_limit", "bits per second, from 819200 to 838860800"),
        ({"traffic_limit": "838860801"}, "traffic_limit", "bits per second, from 819200 to 838860800"),
        ({"traffic_limit": "1MiB"}, "traffic_limit", "bits per second"),
        ({"traffic_limit": 1e6}, "traffic_limit", "bits per second"),
        ({"traffic_limit": True}, "traffic_limit", "bits per second"),
        ({"tags": {str(n): "" for n in range(11)}}, "tags", "OSS accepts 10 tags for an object, and these are 11"),
        ({"tags": {"": "a"}}, "tags", "a tag's key has 1 to 128 characters, its value up to 256"),
        ({"tags": {"a" * 129: ""}}, "tags", "a tag's key has 1 to 128 characters"),
        ({"tags": {"a": "b" * 257}}, "tags", "its value up to 256"),
        ({"tags": {"ü": "a"}}, "tags", "tags can have only A-Z, a-z, digits, spaces and + - = . _ : /"),
        ({"tags": {"a": "b\nc"}}, "tags", "tags can have only A-Z"),
        ({"tags": "a=b"}, "tags", "give a dict, not str"),
        ({"metadata": "a"}, "metadata", "give a dict, not str"),
        ({"metadata": {"a b": "1"}}, "metadata", "use only letters, digits and hyphens"),
        ({"metadata": {"a": "1\r\nEvil: 2"}}, "metadata['a']", "cannot contain control characters"),
        ({"metadata": {"a": "ü" * 4096}}, "metadata", "OSS accepts 8192 bytes of metadata, and this has 8204"),
        ({"metadata": {"a": "1", "A": "2"}}, "metadata", "metadata sets this header already"),
        ({"content_type": 7}, "content_type", "give a string, not int"),
        ({"cache_control": "a\nb"}, "cache_control", "cannot contain control characters"),
        ({"expires": "tomorrow"}, "expires", "give a time with its time zone, such as 2030-01-31T12:00:00Z"),
        ({"expires": "2030-01-31"}, "expires", "give a time with its time zone"),
        ({"expires": datetime(2030, 1, 31)}, "expires", "give a time with its time zone"),
        ({"expires": 7}, "expires", "give a time with its time zone"),
        ({"headers": ["a"]}, "headers", "give a dict, not list"),
        ({"headers": {"a b": "1"}}, "headers", "use only letters, digits and hyphens"),
        ({"headers": {"a": "1\n"}}, "headers['a']", "cannot contain control characters"),
        ({"headers": {"a": "1", "A": "2"}}, "headers", "headers sets this header already"),
        ({"storage": "IA"}, "storage", "unknown option; use one of request_payer, traffic_limit, content_type"),
    ],
)
def test_what_oss_would_refuse_is_refused_by_name(options: Any, argument: str, says: str) -> None:
    with pytest.raises(ArgumentError) as error:
        object_headers("key", options)

    assert error.value.argument == argument
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("argument", "value", "header"),
    [
        ("content_type", "text/csv", "content-type"),
        ("storage_class", "IA", "X-Oss-Storage-Class"),
        ("tags", {"a": "b"}, "x-oss-tagging"),
        ("metadata", {"a": "b"}, "x-oss-meta-a"),
        ("traffic_limit", 819_200, "x-oss-traffic-limit"),
        ("request_payer", "requester", "x-oss-request-payer"),
    ],
)
def test_an_option_and_its_raw_header_together_are_an_error(argument: str, value: Any, header: str) -> None:
    options: Any = {argument: value, "headers": {header: "other"}}

    with pytest.raises(ArgumentError, match=f"headers='{header}': {argument} sets this header already; leave one"):
        object_headers("key", options)
