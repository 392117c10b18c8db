"""Reads XML of OSS safely: by local names, whatever the namespace, and with bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from airflow_provider_ossresume.model.lazy_property import lazy_property

MAX_TAGS = 100_000  # a page of 1,000 entries with a dozen elements each has a quarter of this
MAX_TAG_BYTES = 64 * 1024  # from one tag to the next; a percent-encoded key has 3 KiB


class MalformedXML(ValueError):
    """The body is not the XML that was expected. Callers turn it into a BadAnswer that names the operation."""


class XmlNode:
    """An element whose children are read by local name."""

    def __init__(self, element: ET.Element) -> None:
        self._element = element

    def all(self, name: str) -> Iterator[XmlNode]:
        return (XmlNode(child) for child in self._element if _local_name(child) == name)

    def text(self, name: str) -> str:
        """Return the text of the first child of that name; empty if there is none."""
        return self._texts.get(name, "")

    @lazy_property
    def _texts(self) -> dict[str, str]:
        """The text of the first child of each name. Computed once, because a page of a listing has 1,000 nodes."""
        texts: dict[str, str] = {}
        for child in self._element:
            texts.setdefault(_local_name(child), child.text or "")
        return texts

    def required(self, name: str) -> str:
        if value := self.text(name):
            return value
        raise MalformedXML(f"{_local_name(self._element)} has no {name}")

    def number(self, name: str) -> int:
        value = self.optional_number(name)
        if value is None:
            raise MalformedXML(f"{_local_name(self._element)} has no {name}")
        return value

    def optional_number(self, name: str) -> int | None:
        text = self.text(name).strip()
        if text and not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise MalformedXML(f"{name} is not a number")
        return int(text) if text else None

    def time(self, name: str) -> datetime | None:
        """Return an ISO 8601 time, in UTC if it has no zone; None if it is absent or cannot be read."""
        try:
            time = datetime.fromisoformat(self.text(name).replace("Z", "+00:00"))
        except ValueError:
            return None
        return time if time.tzinfo else time.replace(tzinfo=timezone.utc)

    def decoded(self, text: str) -> str:
        """Return a key, prefix or token decoded: with ``encoding-type=url`` OSS percent-encodes them."""
        return unquote(text) if self.text("EncodingType") == "url" else text

    @property
    def owner(self) -> str:
        return next((owner.text("ID") for owner in self.all("Owner")), "")

    @property
    def is_truncated(self) -> bool:
        return self.text("IsTruncated") == "true"


def read_root(body: bytes, name: str | None = None) -> XmlNode:
    """Return the root of a document.

    :param name: the local name that it must have
    :raises MalformedXML: if it has another, or the body is not XML that OSS would send
    """
    element = _parse(body)
    if name is not None and _local_name(element) != name:
        raise MalformedXML(f"expected {name}, got {_local_name(element)}")
    return XmlNode(element)


def _parse(body: bytes) -> ET.Element:
    # OSS never declares a document type. Without one there are no entities to expand, so no entity bomb. The body is
    # read as UTF-8, which OSS sends, whatever it declares: otherwise a declaration could hide. UTF-16 is full of zeros.
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body or b"\0" in body:
        raise MalformedXML("the XML declares a document type or is not UTF-8")
    # A tree takes up to 50 times the memory of its tags, and attributes take even more.
    if body.count(b"<") > MAX_TAGS or re.search(rb"<[^<]{%d}" % MAX_TAG_BYTES, body):
        raise MalformedXML("the XML is larger than any of OSS's")
    parser = ET.XMLParser(target=_TreeWithoutAttributes(), encoding="utf-8")  # noqa: S314 - see above
    try:
        parser.feed(body.lstrip(b" \t\r\n"))  # OSS sends blanks first, while it is still working
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError) as error:
        raise MalformedXML(str(error)) from error
    return root


class _TreeWithoutAttributes(ET.TreeBuilder):
    """Drops attributes. OSS's XML does not use them, and there could be many."""

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        return super().start(tag, {})


def _local_name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
