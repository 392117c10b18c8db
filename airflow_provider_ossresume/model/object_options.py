"""Options of an object and of requests: checked, and turned into headers."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import cache
from typing import Literal, TypedDict, get_args
from urllib.parse import quote

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_choice
from airflow_provider_ossresume.model.headers import check_given, check_header, check_line

StorageClass = Literal["Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"]
Acl = Literal["default", "private", "public-read", "public-read-write"]
Encryption = Literal["AES256", "KMS", "SM4"]
DataEncryption = Literal["SM4"]
RequestPayer = Literal["requester"]

MAX_TAGS = 10  # OSS: PutObjectTagging, with the lengths and the characters below
MAX_TAG_KEY, MAX_TAG_VALUE = 128, 256
MAX_METADATA_BYTES = 8 * 1024  # OSS: names and values of all x-oss-meta-* together
LEAST_TRAFFIC, MOST_TRAFFIC = 819_200, 838_860_800  # bit/s; OSS: single-connection bandwidth throttling

_TAG = re.compile(r"[A-Za-z0-9 +\-=._:/]*")
_NATIVE = "with render_template_as_native_obj, keep it a string with filters: {{ params.x | string | tojson }}"
FORBID_OVERWRITE = "x-oss-forbid-overwrite"  # OSS requires it on Put, or on both Initiate and Complete


class RequestOptions(TypedDict, total=False):
    """Options for every request of a transfer.

    ``request_payer``
        ``"requester"``: the requester pays, not the bucket's owner
    ``traffic_limit``
        bits per second that OSS allows for one request, 819,200 to 838,860,800. Each part that is moved at the same
        time has this limit.
    """

    request_payer: RequestPayer | None
    traffic_limit: int | str | None


class SharedOptions(RequestOptions, total=False):
    """Options that uploads and copies share; see :class:`ObjectOptions`."""

    content_type: str | None
    content_encoding: str | None
    content_disposition: str | None
    content_language: str | None
    cache_control: str | None
    expires: datetime | str | None
    metadata: Mapping[str, str] | None
    tags: Mapping[str, str] | None
    sse_kms_key_id: str | None
    sse_data_encryption: DataEncryption | None
    headers: Mapping[str, str] | None


class ObjectOptions(SharedOptions, total=False):
    """Options of an uploaded object. For an option that is None or absent, OSS decides.

    ``content_type``
        guessed from the key by default
    ``content_encoding``, ``content_disposition``, ``content_language``, ``cache_control``
        as in HTTP; OSS returns them with each download
    ``expires``
        when caches must drop it: a time with its time zone, or a string in ISO 8601 or in HTTP's format
    ``metadata``
        the ``x-oss-meta-*`` headers, without that prefix; 8 KiB in all
    ``tags``
        up to 10; keys of 1 to 128 and values of up to 256 letters, digits, spaces and ``+ - = . _ : /``
    ``storage_class``
        ``Standard``, ``IA``, ``Archive``, ``ColdArchive`` or ``DeepColdArchive``; the bucket's by default
    ``acl``
        ``default`` (the bucket's), ``private``, ``public-read`` or ``public-read-write``
    ``server_side_encryption``
        ``AES256``, ``KMS`` or ``SM4``; by default as the bucket is configured
    ``sse_kms_key_id``, ``sse_data_encryption``
        with ``KMS``: the key, and ``SM4`` to encrypt the data with it instead of AES256
    ``headers``
        other headers, by their names in OSS's documentation
    """

    storage_class: StorageClass | None
    acl: Acl | None
    server_side_encryption: Encryption | None


def object_headers(key: str, options: ObjectOptions) -> dict[str, str]:
    """Return the headers of an upload to that key, including those of every request.

    :raises ArgumentError: for an option that OSS would refuse, that ``headers`` has too, or that is unknown
    """
    given = {name: value for name, value in options.items() if value not in (None, "")}
    if unknown := sorted(set(given) - set(_HEADERS) - {"metadata", "headers"}):
        raise ArgumentError(unknown[0], given[unknown[0]], f"unknown option; use one of {', '.join(_HEADERS)}")
    for argument in ("sse_kms_key_id", "sse_data_encryption"):
        if argument in given and given.get("server_side_encryption") != "KMS":
            raise ArgumentError(
                argument, given[argument], "it needs server_side_encryption='KMS'; set that, or leave it out"
            )
    headers = _Headers()
    for name, value in _metadata(given.get("metadata")).items():
        headers.add("metadata", f"x-oss-meta-{name}", value)
    for argument, (header, text_of) in _HEADERS.items():
        if argument in given and (text := text_of(argument, given[argument])):
            headers.add(argument, header, text)
    for name, value in check_given(_texts("headers", given.get("headers"))).items():
        if name.lower() == FORBID_OVERWRITE:
            raise ArgumentError("headers", name, "set if_exists='fail' instead")
        headers.add("headers", name, value)
    headers.add_default("Content-Type", _guessed_type(key))
    return headers.content


def request_headers(*, request_payer: object, traffic_limit: object) -> dict[str, str]:
    """Return the headers of every request of a transfer.

    :raises ArgumentError: for a value that OSS would refuse
    """
    given = {"request_payer": request_payer, "traffic_limit": traffic_limit}
    return {
        header: text_of(argument, value)
        for argument, (header, text_of) in _HEADERS.items()
        if (value := given.get(argument)) not in (None, "")
    }


def tagging_header(tags: Mapping[str, str]) -> str:
    """Return the value of ``x-oss-tagging`` for valid tags; empty for no tags."""
    return "&".join(f"{quote(key, safe='')}={quote(text, safe='')}" for key, text in sorted(tags.items()))


class _Headers:
    """Headers by name, each set by one argument."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}
        self._argument_of: dict[str, str] = {}

    def add(self, argument: str, name: str, value: str) -> None:
        """:raises ArgumentError: if another argument, or another spelling, has set it already"""
        check_header(name, value, argument=argument)
        if other := self._argument_of.get(name.lower()):
            raise ArgumentError(argument, name, f"{other} sets this header already; leave one of the two out")
        self._argument_of[name.lower()] = argument
        self.content[name] = value

    def add_default(self, name: str, value: str) -> None:
        if name.lower() not in self._argument_of:
            self.add("", name, value)


@cache
def _python_types() -> mimetypes.MimeTypes:
    # Python's own table: the system's differs between workers, and a different header would restart an upload.
    return mimetypes.MimeTypes()


def _guessed_type(key: str) -> str:
    guessed, encoding = _python_types().guess_type(key.rpartition("/")[2])  # a whole key may look like a broken URL
    return "application/octet-stream" if encoding or not guessed else guessed  # key.csv.gz is not text/csv


# --- from an option to its header's value -----------------------------------------------------------------------------


def _texts(argument: str, value: object) -> dict[str, str]:
    """Return a mapping of texts.

    A number is refused: a native template turns ``"1.50"`` into 1.5, and the original text is lost.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentError(argument, value, f"give a dict, not {type(value).__name__}")
    return {_text(argument, name): _text(f"{argument}[{name!r}]", each) for name, each in value.items()}


def _text(argument: str, value: object) -> str:
    if not isinstance(value, str):
        raise ArgumentError(argument, value, f"give a string, not {type(value).__name__}; {_NATIVE}")
    return value


def _line(argument: str, value: object) -> str:
    return check_line(argument, _text(argument, value))


def _one_of(choices: object) -> Callable[[str, object], str]:
    def text_of(argument: str, value: object) -> str:
        check_choice(argument, value, get_args(choices))
        return str(value)

    return text_of


def _metadata(value: object) -> dict[str, str]:
    metadata = _texts("metadata", value)
    for name, text in metadata.items():
        check_header(name, text, argument="metadata")
    size = sum(len(f"x-oss-meta-{name}".encode()) + len(text.encode()) for name, text in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise ArgumentError(
            "metadata", metadata, f"OSS accepts {MAX_METADATA_BYTES} bytes of metadata, and this has {size}; shorten it"
        )
    return metadata


def check_tags(argument: str, value: object) -> dict[str, str]:
    """Return the tags of an object.

    :raises ArgumentError: for more than 10, and for a key or value that is too long, or has characters that OSS refuses
    """
    tags = _texts(argument, value)
    if len(tags) > MAX_TAGS:
        raise ArgumentError(
            argument, tags, f"OSS accepts {MAX_TAGS} tags for an object, and these are {len(tags)}; remove some"
        )
    for key, text in tags.items():
        if not 1 <= len(key) <= MAX_TAG_KEY or len(text) > MAX_TAG_VALUE:
            raise ArgumentError(
                argument, {key: text}, f"a tag's key has 1 to {MAX_TAG_KEY} characters, its value up to {MAX_TAG_VALUE}"
            )
        if not _TAG.fullmatch(key + text):
            raise ArgumentError(argument, {key: text}, "tags can have only A-Z, a-z, digits, spaces and + - = . _ : /")
    return tags


def _tagging(argument: str, value: object) -> str:
    return tagging_header(check_tags(argument, value))


def _http_date(argument: str, value: object) -> str:
    moment = value if isinstance(value, datetime) else _parsed_date(str(value))
    if moment is None or moment.tzinfo is None:
        raise ArgumentError(argument, value, "give a time with its time zone, such as 2030-01-31T12:00:00Z")
    try:
        return formatdate(moment.timestamp(), usegmt=True)
    except (ValueError, OverflowError):  # its zone may move it out of the calendar
        raise ArgumentError(argument, value, "give a time between the years 1 and 9999") from None


def _parsed_date(text: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))  # Python 3.10 knows no Z
    with suppress(ValueError, TypeError):  # Python 3.10 raises either
        return parsedate_to_datetime(text)
    return None


def _traffic_limit(argument: str, value: object) -> str:
    text = str(value)
    if not re.fullmatch("[0-9]{1,9}", text) or not LEAST_TRAFFIC <= int(text) <= MOST_TRAFFIC:
        raise ArgumentError(argument, value, f"give bits per second, from {LEAST_TRAFFIC} to {MOST_TRAFFIC}")
    return str(int(text))


_HEADERS: Mapping[str, tuple[str, Callable[[str, object], str]]] = {
    "request_payer": ("x-oss-request-payer", _one_of(RequestPayer)),
    "traffic_limit": ("x-oss-traffic-limit", _traffic_limit),
    "content_type": ("Content-Type", _line),
    "content_encoding": ("Content-Encoding", _line),
    "content_disposition": ("Content-Disposition", _line),
    "content_language": ("Content-Language", _line),
    "cache_control": ("Cache-Control", _line),
    "expires": ("Expires", _http_date),
    "tags": ("x-oss-tagging", _tagging),
    "storage_class": ("x-oss-storage-class", _one_of(StorageClass)),
    "acl": ("x-oss-object-acl", _one_of(Acl)),
    "server_side_encryption": ("x-oss-server-side-encryption", _one_of(Encryption)),
    "sse_kms_key_id": ("x-oss-server-side-encryption-key-id", _line),
    "sse_data_encryption": ("x-oss-server-side-data-encryption", _one_of(DataEncryption)),
}
