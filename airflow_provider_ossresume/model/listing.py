"""Limits of a listing of objects, and its entries as a task may return them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_text, parse_whole_number
from airflow_provider_ossresume.model.objects import ListedObject, ObjectRef
from airflow_provider_ossresume.model.record import Record

MOST_IN_A_PAGE = 1_000  # OSS: ListObjectsV2
MOST_ITEMS = 10**9


@dataclass(frozen=True)
class ObjectEntry(Record):
    """An object in a listing. A task may return it.

    :ivar kind: OSS's type: ``Normal``, ``Multipart``, ``Appendable`` or ``Symlink``
    """

    bucket: str
    key: str
    size: int
    etag: str
    last_modified: datetime | None
    storage_class: str
    kind: str

    @classmethod
    def of(cls, bucket: str, listed: ListedObject) -> ObjectEntry:
        return cls(
            bucket, listed.key, listed.size, listed.etag, listed.last_modified, listed.storage_class, listed.kind
        )

    @property
    def target(self) -> ObjectRef:
        return ObjectRef(self.bucket, self.key)

    def report(self) -> dict[str, Any]:
        """Return the entry as JSON values, with the time in ISO 8601."""
        return {
            "uri": self.target.uri,
            "key": self.key,
            "size": self.size,
            "etag": self.etag,
            "last_modified": self.last_modified.isoformat() if self.last_modified else None,
            "storage_class": self.storage_class,
            "kind": self.kind,
        }


@dataclass(frozen=True)
class ListingLimits:
    """Which entries of a listing are wanted, and how many.

    :param page_size: the maximum number of entries in one response, 1 to 1,000, which is the default
    :param max_items: the maximum number of entries; None for all
    :param start_after: only keys after this one
    :param delimiter: leaves out keys that contain it after the prefix
    :param from_datetime: only objects that were modified after this time; it needs a time zone
    :param to_datetime: only objects that were modified at this time or before; it needs a time zone
    :raises ArgumentError: for a value that cannot be used
    """

    page_size: int | str | None = None
    max_items: int | str | None = None
    start_after: str | None = None
    delimiter: str | None = None
    from_datetime: datetime | None = None
    to_datetime: datetime | None = None

    def __post_init__(self) -> None:
        if self.page_size is not None:
            parse_whole_number("page_size", self.page_size, most=MOST_IN_A_PAGE)
        if self.max_items is not None:
            parse_whole_number("max_items", self.max_items, most=MOST_ITEMS)
        for argument, text in (("start_after_key", self.start_after), ("delimiter", self.delimiter)):
            if text is not None:
                check_text(argument, text)
        for argument, time in (("from_datetime", self.from_datetime), ("to_datetime", self.to_datetime)):
            if time is not None and not (isinstance(time, datetime) and time.tzinfo):
                raise ArgumentError(argument, time, "give a datetime with its time zone")

    @property
    def most(self) -> int | None:
        return None if self.max_items is None else parse_whole_number("max_items", self.max_items, most=MOST_ITEMS)

    @property
    def page(self) -> int:
        """How many entries to request at once."""
        if self.page_size is not None:
            return parse_whole_number("page_size", self.page_size, most=MOST_IN_A_PAGE)
        is_narrowed = self.from_datetime is not None or self.to_datetime is not None
        return MOST_IN_A_PAGE if self.most is None or is_narrowed else min(self.most, MOST_IN_A_PAGE)

    def takes(self, listed: ListedObject) -> bool:
        """Return whether an object was modified within the limits. One without a time is left out."""
        if self.from_datetime is None and self.to_datetime is None:
            return True
        modified = listed.last_modified
        if modified is None or (self.from_datetime is not None and modified <= self.from_datetime):
            return False
        return self.to_datetime is None or modified <= self.to_datetime
