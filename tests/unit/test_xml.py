"""The XML of OSS's requests and answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from xml.etree import ElementTree as ET

import pytest

from airflow_provider_ossresume.model.objects import ListedObject, ListedUpload, Receipt
from airflow_provider_ossresume.oss import xml_requests, xml_responses
from airflow_provider_ossresume.oss.header_values import read_http_date
from airflow_provider_ossresume.oss.xml_reader import MalformedXML
from airflow_provider_ossresume.oss.xml_responses import (
    BucketInfo,
    ErrorDetails,
    ObjectsPage,
    PartsPage,
    ServiceInfo,
    UploadsPage,
)

read_completed = partial(xml_responses.read_etag, root="CompleteMultipartUploadResult")
read_copied = partial(xml_responses.read_etag, root="CopyObjectResult")
MOMENT = datetime(2026, 11, 23, 8, 30, 15, tzinfo=timezone.utc)

# --- requests ---------------------------------------------------------------------------------------------------------


def test_complete_names_the_parts_in_ascending_order_with_quoted_etags() -> None:
    parts = [Receipt(10, "CC", 1, None), Receipt(2, "B<&>B", 1, None), Receipt(1, "AA", 1, None)]

    root = ET.fromstring(xml_requests.complete_body(parts))

    assert root.tag == "CompleteMultipartUpload"
    assert [(part.findtext("PartNumber"), part.findtext("ETag")) for part in root] == [
        ("1", '"AA"'),
        ("2", '"B<&>B"'),
        ("10", '"CC"'),
    ]


@pytest.mark.parametrize("key", ["k", "<&>'\"", "]]>", "<!DOCTYPE x>", "键 😀", "a%20b", " x ", "\u2028"])
def test_delete_names_the_keys_as_they_are_and_asks_for_an_answer(key: str) -> None:
    root = ET.fromstring(xml_requests.delete_body([key, "other"]))

    assert root.tag == "Delete"
    assert root.findtext("Quiet") == "false"
    assert [element.findtext("Key") for element in root.iter("Object")] == [key, "other"]


# --- answers ----------------------------------------------------------------------------------------------------------

INITIATED = """<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>ID</UploadId>
</InitiateMultipartUploadResult>"""
COMPLETED = """<CompleteMultipartUploadResult><Location>http://b/k</Location><Bucket>b</Bucket><Key>k</Key>
<ETag>"ABC-2"</ETag></CompleteMultipartUploadResult>"""
COPIED = """<CopyObjectResult><LastModified>2026-11-23T08:30:15.000Z</LastModified><ETag>"ABC"</ETag>
</CopyObjectResult>"""
PARTS = """<ListPartsResult><Bucket>b</Bucket><Key>k</Key><UploadId>ID</UploadId><PartNumberMarker/>
<NextPartNumberMarker>5</NextPartNumberMarker><MaxParts>1000</MaxParts><IsTruncated>false</IsTruncated>
<Part><PartNumber>1</PartNumber><LastModified>2026-11-23T08:30:15.000Z</LastModified><ETag>"A"</ETag>
<HashCrc64ecma>18446744073709551615</HashCrc64ecma><Size>102400</Size></Part>
<Part><PartNumber>5</PartNumber><ETag>B</ETag><Size>1</Size></Part></ListPartsResult>"""
UPLOADS = """<ListMultipartUploadsResult><EncodingType>url</EncodingType><NextKeyMarker>a%2Fb</NextKeyMarker>
<NextUploadIdMarker>ID2</NextUploadIdMarker><IsTruncated>true</IsTruncated>
<Upload><Key>a%20b%2Bc</Key><UploadId>ID1</UploadId><Initiated>2026-11-23T08:30:15.000Z</Initiated></Upload>
<Upload><Key>a%2Fb</Key><UploadId>ID2</UploadId></Upload></ListMultipartUploadsResult>"""
OBJECTS = """<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
<NextContinuationToken>a%2Fb%3D%3D</NextContinuationToken>
<Contents><Key>a%20b%2Bc%25</Key><LastModified>2026-11-23T08:30:15.000Z</LastModified><ETag>"A"</ETag>
<Type>Normal</Type><Size>7</Size><StorageClass>Archive</StorageClass>
<RestoreInfo>ongoing-request="true"</RestoreInfo></Contents>
<Contents><Key>z</Key><Size>0</Size></Contents>
<CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>"""
DELETED = """<DeleteResult><EncodingType>url</EncodingType><Deleted><Key>a%20b</Key></Deleted>
<Deleted><Key>c</Key></Deleted></DeleteResult>"""
BUCKET = """<BucketInfo><Bucket><Name>b</Name><Location>oss-cn-hangzhou</Location>
<ExtranetEndpoint>oss-cn-hangzhou.aliyuncs.com</ExtranetEndpoint>
<IntranetEndpoint>oss-cn-hangzhou-internal.aliyuncs.com</IntranetEndpoint>
<StorageClass>Standard</StorageClass><Owner><DisplayName>me</DisplayName><ID>42</ID></Owner></Bucket></BucketInfo>"""
BUCKETS = """<ListAllMyBucketsResult><Owner><ID>42</ID><DisplayName>me</DisplayName></Owner>
<Buckets><Bucket><Name>b</Name></Bucket></Buckets></ListAllMyBucketsResult>"""
RETENTION = """<WormConfiguration><WormId>1</WormId><State>InProgress</State>
<RetentionPeriodInDays>365</RetentionPeriodInDays><CreationDate>2026-11-23T08:30:15.000Z</CreationDate></WormConfiguration>"""
ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>No &amp; never</Message><RequestId>65A</RequestId>
<HostId>b.oss-cn-hangzhou.aliyuncs.com</HostId><EC>0003-00000001</EC><RecommendDoc>https://x</RecommendDoc></Error>"""

# What is read, with what, and what it says.
ANSWERS: dict[str, tuple[str, Callable[[bytes], object], object]] = {
    "initiate": (INITIATED, xml_responses.read_upload_id, "ID"),
    "complete": (COMPLETED, read_completed, "ABC-2"),
    "copy": (COPIED, read_copied, "ABC"),
    "list parts": (
        PARTS,
        xml_responses.read_parts,
        PartsPage([Receipt(1, "A", 102_400, 2**64 - 1), Receipt(5, "B", 1, None)], None),
    ),
    "list uploads": (
        UPLOADS,
        xml_responses.read_uploads,
        UploadsPage([ListedUpload("a b+c", "ID1", MOMENT), ListedUpload("a/b", "ID2", None)], ("a/b", "ID2")),
    ),
    "list objects": (
        OBJECTS,
        xml_responses.read_objects,
        ObjectsPage(
            [
                ListedObject("a b+c%", 7, "A", MOMENT, "Archive", "Normal", 'ongoing-request="true"'),
                ListedObject("z", 0, "", None),
            ],
            ["p/"],
            "a/b==",
        ),
    ),
    "delete objects": (DELETED, xml_responses.read_deleted, ["a b", "c"]),
    "bucket info": (
        BUCKET,
        xml_responses.read_bucket_info,
        BucketInfo(
            "b",
            "cn-hangzhou",
            "oss-cn-hangzhou.aliyuncs.com",
            "oss-cn-hangzhou-internal.aliyuncs.com",
            "Standard",
            "42",
        ),
    ),
    "buckets": (BUCKETS, xml_responses.read_service_info, ServiceInfo("42")),
    "retention": (RETENTION, xml_responses.read_retention_days, 365),
    "error": (
        ERROR,
        xml_responses.read_error,
        ErrorDetails("AccessDenied", "No & never", "0003-00000001", "65A", "b.oss-cn-hangzhou.aliyuncs.com"),
    ),
}
each_answer = pytest.mark.parametrize(("xml", "read", "value"), ANSWERS.values(), ids=ANSWERS)
each_success = pytest.mark.parametrize(
    ("xml", "read"),
    [(xml, read) for name, (xml, read, _) in ANSWERS.items() if name != "error"],
    ids=[name for name in ANSWERS if name != "error"],
)


@each_answer
def test_an_answer_is_read(xml: str, read: Callable[[bytes], object], value: object) -> None:
    assert read(xml.encode()) == value


@each_answer
def test_a_namespace_does_not_matter(xml: str, read: Callable[[bytes], object], value: object) -> None:
    root = root_of(xml)
    namespaced = xml.replace(f"<{root}>", f'<{root} xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com">', 1)

    assert namespaced != xml
    assert read(namespaced.encode()) == value


def test_prefixed_names_do_not_matter_either() -> None:
    xml = b'<o:ListPartsResult xmlns:o="urn:x"><o:IsTruncated>false</o:IsTruncated></o:ListPartsResult>'

    assert xml_responses.read_parts(xml) == PartsPage([], None)


@each_answer
def test_declaration_and_byte_order_mark_do_not_matter(
    xml: str, read: Callable[[bytes], object], value: object
) -> None:
    if not xml.startswith("<?"):
        xml = f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}'

    assert read(b"\xef\xbb\xbf" + xml.encode()) == value


@each_success
def test_a_document_of_another_name_is_malformed(xml: str, read: Callable[[bytes], object]) -> None:
    with pytest.raises(MalformedXML, match=r"expected .*Result|expected BucketInfo|expected Worm"):
        read(b"<Html/>")
    with pytest.raises(MalformedXML):
        read(ERROR.encode())


@pytest.mark.parametrize(
    ("body", "read", "value"),
    [
        (b"<ListPartsResult/>", xml_responses.read_parts, PartsPage([], None)),
        (b"<ListMultipartUploadsResult/>", xml_responses.read_uploads, UploadsPage([], None)),
        (b"<ListBucketResult/>", xml_responses.read_objects, ObjectsPage([], [], None)),
        (b"<DeleteResult/>", xml_responses.read_deleted, []),
        (b"<Error/>", xml_responses.read_error, ErrorDetails()),
    ],
)
def test_an_empty_listing_is_one(body: bytes, read: Callable[[bytes], object], value: object) -> None:
    assert read(body) == value


@pytest.mark.parametrize(
    ("body", "read", "missing"),
    [
        (b"<InitiateMultipartUploadResult/>", xml_responses.read_upload_id, "UploadId"),
        (b"<CompleteMultipartUploadResult/>", read_completed, "ETag"),
        (b"<CopyObjectResult><ETag/></CopyObjectResult>", read_copied, "ETag"),
        (b"<BucketInfo/>", xml_responses.read_bucket_info, "Bucket"),
    ],
)
def test_an_answer_without_its_one_fact_is_malformed(
    body: bytes, read: Callable[[bytes], object], missing: str
) -> None:
    with pytest.raises(MalformedXML, match=f"has no {missing}"):
        read(body)


# What is no XML of ours at all.
BROKEN = {
    "empty": b"",
    "text": b"oops",
    "html": b"<html><body><br></body></html>",
    "json": b'{"a": 1}',
    "not UTF-8": b"<ListPartsResult>\xff\xfe</ListPartsResult>",
    "UTF-16": "<ListPartsResult/>".encode("utf-16"),
    "NUL": b"<ListPartsResult>\x00</ListPartsResult>",
    "two roots": b"<ListPartsResult/><ListPartsResult/>",
    "unknown entity": b"<ListPartsResult>&nbsp;</ListPartsResult>",
    "document type": b"<!DOCTYPE ListPartsResult><ListPartsResult/>",
    "entity bomb": b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<ListPartsResult><Key>&b;</Key></ListPartsResult>",
    "external entity": b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<ListPartsResult><Key>&x;</Key></ListPartsResult>",
    "entity bomb behind a byte order mark": b'\xef\xbb\xbf<!DOCTYPE l [<!ENTITY a "a">]>'
    b"<ListPartsResult>&a;</ListPartsResult>",
    "deep": b"<a>" * 100_000,
}


@pytest.mark.parametrize("read", [read for _, read, _ in ANSWERS.values()], ids=ANSWERS)
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_what_is_no_xml_of_ours_is_malformed_and_an_error_without_a_code(
    body: bytes, read: Callable[[bytes], object]
) -> None:
    if read is xml_responses.read_error:
        assert xml_responses.read_error(body) == ErrorDetails()
    else:
        with pytest.raises(MalformedXML):
            read(body)


@each_success
def test_an_answer_that_breaks_off_anywhere_is_malformed(xml: str, read: Callable[[bytes], object]) -> None:
    body = xml.encode()
    for length in range(len(body)):
        with pytest.raises(MalformedXML):
            read(body[:length])


def test_deep_nesting_is_read_without_harm() -> None:
    depth = 50_000

    assert xml_responses.read_error(b"<a>" * depth + b"</a>" * depth) == ErrorDetails()


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "0x1", "", " ", "9" * 21, "\u0663", "1_0", "+1"])
def test_a_number_that_is_none_is_malformed(number: str) -> None:
    xml = PARTS.replace("<PartNumber>5</PartNumber>", f"<PartNumber>{number}</PartNumber>")

    with pytest.raises(MalformedXML, match="PartNumber"):
        xml_responses.read_parts(xml.encode())


@pytest.mark.parametrize(("name", "xml"), [("PartNumber", PARTS), ("Size", PARTS), ("ETag", PARTS)])
def test_a_part_without_a_fact_is_malformed(name: str, xml: str) -> None:
    with pytest.raises(MalformedXML, match=f"Part has no {name}"):
        xml_responses.read_parts(xml.replace(name, "Other").encode())


@pytest.mark.parametrize(
    ("xml", "read", "missing"),
    [
        (
            PARTS.replace("<NextPartNumberMarker>5</NextPartNumberMarker>", ""),
            xml_responses.read_parts,
            "NextPartNumber",
        ),
        (OBJECTS.replace("NextContinuationToken", "Other"), xml_responses.read_objects, "NextContinuationToken"),
    ],
)
def test_a_listing_that_goes_on_without_saying_where_is_malformed(
    xml: str, read: Callable[[bytes], object], missing: str
) -> None:
    with pytest.raises(MalformedXML, match=missing):
        read(xml.replace("<IsTruncated>false", "<IsTruncated>true").encode())


def test_a_listing_that_goes_on_says_where() -> None:
    xml = PARTS.replace("<IsTruncated>false", "<IsTruncated>true")

    assert xml_responses.read_parts(xml.encode()).next_marker == 5


def test_keys_are_decoded_only_where_the_answer_says_that_they_are_encoded() -> None:
    xml = DELETED.replace("<EncodingType>url</EncodingType>", "")

    assert xml_responses.read_deleted(xml.encode()) == ["a%20b", "c"]


def test_numbers_may_stand_between_white_space() -> None:
    assert xml_responses.read_parts(PARTS.replace(">1</Size>", ">\n 1 \n</Size>").encode()).parts[1].size == 1


# --- dates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon, 23 Nov 2026 08:30:15 GMT", MOMENT),
        ("Mon, 23 Nov 2026 16:30:15 +0800", MOMENT),
        ("23 Nov 2026 08:30:15 GMT", MOMENT),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("Mon, 99 Nov 2026 08:30:15 GMT", None),
        ("2026-11-23T08:30:15Z", None),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
    ],
)
def test_an_http_date_is_read_or_is_none(text: str | None, moment: datetime | None) -> None:
    assert read_http_date(text) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T08:30:15.000Z", MOMENT),
        ("2026-11-23T08:30:15Z", MOMENT),
        ("2026-11-23T16:30:15.250+08:00", MOMENT + timedelta(milliseconds=250)),
        ("", None),
        ("soon", None),
        ("2026-13-01T00:00:00.000Z", None),
    ],
)
def test_the_time_of_an_entry_is_read_or_is_none(text: str, moment: datetime | None) -> None:
    xml = OBJECTS.replace("2026-11-23T08:30:15.000Z", text)

    assert xml_responses.read_objects(xml.encode()).objects[0].last_modified == moment


# --- helpers ----------------------------------------------------------------------------------------------------------


def root_of(xml: str) -> str:
    return ET.fromstring(xml).tag


def test_a_retention_policy_that_was_never_locked_protects_nothing() -> None:
    assert xml_responses.read_retention_days(RETENTION.replace("InProgress", "Expired").encode()) == 0
