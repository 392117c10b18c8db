"""The context of every operation, and helpers that several operations share."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_plus
from xml.etree import ElementTree

from airflow_provider_ossresume.local_oss.answers import Children, Refusal, invalid_argument
from airflow_provider_ossresume.local_oss.contents import Content
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.records import StoredObject
from airflow_provider_ossresume.local_oss.storage import Storage

MAX_BODY_SIZE = 5 * 1024**3  # OSS: PutObject, AppendObject and a part take up to 5 GB
MAX_METADATA_SIZE = 8 * 1024  # OSS: all x-oss-meta-* together

ACL, TAGGING = "x-oss-object-acl", "x-oss-tagging"
RESTORE_SECONDS = 60.0  # OSS: about what the class Archive takes
OWNER: Children = [("ID", "1234567890"), ("DisplayName", "1234567890")]
MIN_TRAFFIC, MAX_TRAFFIC = 819_200, 838_860_800  # OSS: bit/s of one request

# The headers of the creating request that an object keeps; GetObject and HeadObject return them.
_KEPT_HEADERS = frozenset(
    {
        "content-type",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "expires",
        "x-oss-storage-class",
        ACL,
        "x-oss-server-side-encryption",
        "x-oss-server-side-encryption-key-id",
        "x-oss-server-side-data-encryption",
        TAGGING,
    }
)

# The allowed values of some of them, and OSS's error code for any other value.
_CHOICES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "x-oss-storage-class": (("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"), "InvalidArgument"),
    ACL: (("default", "private", "public-read", "public-read-write"), "InvalidArgument"),
    "x-oss-server-side-encryption": (("AES256", "KMS", "SM4"), "InvalidEncryptionAlgorithmError"),
    "x-oss-server-side-data-encryption": (("SM4",), "InvalidEncryptionAlgorithmError"),
}
_TAG_KEY = re.compile(r"[A-Za-z0-9 +\-=._:/]{1,128}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9 +\-=._:/]{0,256}")
MAX_TAG_COUNT = 10  # OSS: PutObjectTagging; lengths and characters above


@dataclass(frozen=True)
class Service:
    """The server as an operation sees it."""

    storage: Storage
    region: str
    clock: Callable[[], float]
    restore_seconds: float = RESTORE_SECONDS


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that an object keeps, with OSS's defaults for those that are required."""
    kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS or name.startswith("x-oss-meta-")}
    size = sum(len(name) + len(value.encode()) for name, value in kept.items() if name.startswith("x-oss-meta-"))
    if size > MAX_METADATA_SIZE:
        raise Refusal(400, "MetadataTooLarge", f"The metadata has {size} bytes, the limit is {MAX_METADATA_SIZE}.")
    for name, value in kept.items():
        _check_choice(name, value)
    if TAGGING in kept:
        tags_of(kept[TAGGING])
    return {"content-type": "application/octet-stream", "x-oss-storage-class": "Standard", **kept}


def _check_choice(name: str, value: str) -> None:
    choices, code = _CHOICES.get(name, ((value,), ""))
    if value not in choices:
        raise Refusal(400, code, f"The value of {name} is not allowed.", details={"ArgumentName": name})


def acl_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the header with an object's ACL, if there is one."""
    acl = {name: value for name, value in headers.items() if name == ACL}
    for name, value in acl.items():
        _check_choice(name, value)
    return acl


def tags_of(tagging: str) -> list[tuple[str, str]]:
    """Return the tags in the header ``x-oss-tagging``."""
    pairs = [pair.split("=") for pair in tagging.split("&") if pair]
    tags = [(unquote_plus(pair[0]), unquote_plus(pair[1]) if pair[1:] else "") for pair in pairs]
    if any(len(pair) > 2 for pair in pairs):
        raise _invalid_tag()
    check_tags(tags)
    return tags


def check_tags(tags: list[tuple[str, str]]) -> None:
    """Refuse tags that OSS does not allow, and too many tags."""
    are_good = all(_TAG_KEY.fullmatch(key) and _TAG_VALUE.fullmatch(value) for key, value in tags)
    keys = {key for key, _ in tags}
    if not are_good or not len(keys) == len(tags) <= MAX_TAG_COUNT:
        raise _invalid_tag()


def _invalid_tag() -> Refusal:
    return Refusal(400, "InvalidTag", "The tags of the object are not valid.")


def check_traffic_limit(headers: Mapping[str, str]) -> None:
    """Refuse a traffic limit that OSS does not allow. A valid one has no effect here."""
    text = headers.get("x-oss-traffic-limit")
    if text is not None and not MIN_TRAFFIC <= (whole_number(text) or 0) <= MAX_TRAFFIC:
        raise invalid_argument("x-oss-traffic-limit", text)


def is_true(headers: Mapping[str, str], name: str) -> bool:
    """Return True if a header says true."""
    return headers.get(name, "").lower() == "true"


def receive(service: Service, request: IncomingRequest) -> Content:
    """Store the body of an upload, not yet visible, and check it against Content-MD5."""
    if not request.body.declared:
        raise Refusal(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    if (request.body.length or 0) > MAX_BODY_SIZE:
        raise Refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
    claimed = _claimed_md5(request)
    content = service.storage.contents.receive(request.body)
    if claimed is not None and content.md5 != claimed:
        service.storage.contents.discard(content)
        raise _other_digest(claimed, content.md5)
    return content


def whole_body(request: IncomingRequest) -> bytes:
    """Return a body of XML, checked against Content-MD5."""
    claimed = _claimed_md5(request)
    data = request.body.whole()
    if claimed is not None and (computed := hashlib.md5(data, usedforsecurity=False).hexdigest().upper()) != claimed:
        raise _other_digest(claimed, computed)
    return data


def content_md5(content: Content) -> str:
    """Return the value of the Content-MD5 header for a content."""
    return base64.b64encode(bytes.fromhex(content.md5)).decode()


def _claimed_md5(request: IncomingRequest) -> str | None:
    text = request.headers.get("content-md5")
    if text is None:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:  # not base64, or not ASCII
        digest = b""
    if len(digest) != 16:
        raise Refusal(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
    return digest.hex().upper()


def _other_digest(claimed: str, computed: str) -> Refusal:
    digests = {
        "ExpectedDigest": base64.b64encode(bytes.fromhex(claimed)).decode(),
        "CalculatedDigest": base64.b64encode(bytes.fromhex(computed)).decode(),
    }
    return Refusal(400, "InvalidDigest", "The Content-MD5 you specified did not match.", details=digests)


def whole_number(text: str) -> int | None:
    """Return the number in a text of up to 18 digits; None for any other text."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def number_argument(query: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    """Return a whole number of the query, and refuse one outside ``[low, high]``."""
    text = query.get(name) or str(default)
    number = whole_number(text)
    if number is None or not low <= number <= high:
        raise invalid_argument(name, text, message=f"{name} must be between {low} and {high}.")
    return number


def encoder(query: Mapping[str, str]) -> Callable[[str], str]:
    """Return the function that encodes keys in the XML: percent-encoding if the request asks for it, or nothing."""
    wanted = query.get("encoding-type", "")
    if wanted not in ("", "url"):
        raise invalid_argument("encoding-type", wanted, message="Invalid Encoding Method specified in Request")
    return (lambda text: quote(text, safe="")) if wanted else (lambda text: text)


def encoding_element(query: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the element that names the encoding, if any."""
    return [("EncodingType", "url")] if query.get("encoding-type") else []


def copy_source(request: IncomingRequest) -> tuple[str, str, str]:
    """Return bucket, key and version, if any, of the header ``x-oss-copy-source``."""
    text = request.headers["x-oss-copy-source"]
    path, _, version = text.partition("?")
    bucket, slash, key = unquote(path).removeprefix("/").partition("/")
    if not slash or not bucket or not key:
        raise invalid_argument("x-oss-copy-source", text, message="Copy Source must mention the source bucket and key.")
    return bucket, key, unquote(version).removeprefix("versionId=")


def named(request: IncomingRequest) -> tuple[str, str, str]:
    """Return bucket, key and version, if any, of a request about an object."""
    return *request.target, request.query.get("versionId", "")


def version_of(stored: StoredObject, *, header: str = "x-oss-version-id") -> dict[str, str]:
    """Return the header with an object's version; empty if it has none."""
    return {header: stored.version} if stored.version else {}


def parse_xml(data: bytes, *, root: str) -> ElementTree.Element:
    """Return the root of a request's XML document, without namespaces."""
    # A DOCTYPE may define entities that expand without limit. No OSS document has one. The NUL check excludes UTF-16.
    if b"<!" in data or b"\0" in data:
        raise _malformed_xml()
    parser = ElementTree.XMLParser(encoding="utf-8")  # noqa: S314  the check above excludes entity bombs
    try:
        element = ElementTree.fromstring(data, parser)  # noqa: S314
    except ElementTree.ParseError as error:
        raise _malformed_xml() from error
    for child in element.iter():
        child.tag = child.tag.rpartition("}")[2]
    if element.tag != root:
        raise _malformed_xml()
    return element


def _malformed_xml() -> Refusal:
    return Refusal(400, "MalformedXML", "The XML you provided was not well-formed or did not validate.")
