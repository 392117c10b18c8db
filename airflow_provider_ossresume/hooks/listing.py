"""The hook's methods that find objects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.model.arguments import Flag, check_text, parse_flag, refuse_empty
from airflow_provider_ossresume.model.listing import ListingLimits, ObjectEntry
from airflow_provider_ossresume.model.object_names import unambiguous_name
from airflow_provider_ossresume.model.objects import ListedObject, ObjectRef, PrefixRef
from airflow_provider_ossresume.model.patterns import KeyPattern, PatternKind


class ListingMethods(ConnectedHook):
    """The methods of the hook that list keys, prefixes and objects.

    In all of them, ``page_size`` is the number of entries per answer of OSS, 1 to 1,000, and ``max_items`` the maximum
    number of results. Results are in the byte order of their keys.
    """

    def list_keys(
        self,
        bucket_name: str | None = None,
        prefix: str | None = None,
        delimiter: str | None = None,
        page_size: int | None = None,
        max_items: int | None = None,
        start_after_key: str | None = None,
        from_datetime: datetime | None = None,
        to_datetime: datetime | None = None,
        *,
        apply_wildcard: Flag = False,
    ) -> list[str]:
        """Return the keys that start with a prefix. All pages are fetched.

        You can pass each result, with the same bucket, to a method that takes a key. So a key that looks like a URL or
        like a list is returned as its URI.

        :param prefix: the start of the keys, or an ``oss://bucket/prefix`` URL; None for the whole bucket
        :param delimiter: leave out keys that contain it after the prefix, such as those in subfolders
        :param start_after_key: only keys after this one
        :param from_datetime: only objects that were modified after this time; it needs a time zone
        :param to_datetime: only objects that were modified at this time or before; it needs a time zone
        :param apply_wildcard: the prefix is a wildcard pattern for whole keys; see :meth:`~.ConnectedHook.key_pattern`
        :raises ArgumentError: as :meth:`~.ConnectedHook.prefix`, and for an invalid limit
        """
        limits = ListingLimits(page_size, max_items, start_after_key, delimiter, from_datetime, to_datetime)
        where: PrefixRef | KeyPattern
        if parse_flag("apply_wildcard", apply_wildcard):
            where = self.key_pattern(_given("prefix", prefix), bucket_name, kind="wildcard")
        else:
            where = self.prefix(prefix, bucket_name)
        return [unambiguous_name(ObjectRef(where.bucket, listed.key)) for listed in self._listed(where, limits)]

    def iterate_keys(
        self,
        text: str | None = None,
        bucket_name: str | None = None,
        *,
        kind: PatternKind | None = None,
        delimiter: str = "",
    ) -> Iterator[str]:
        """Yield the keys that start with a prefix or match a pattern, page by page.

        They have the same form as those of :meth:`~.ListingMethods.list_keys`.

        :param text: the prefix or the pattern, or an ``oss://`` URL with either; None for the whole bucket
        :param kind: ``wildcard`` or ``regex``; None for a prefix
        :raises ArgumentError: as :meth:`~.ConnectedHook.key_pattern` and :meth:`~.ConnectedHook.prefix`
        """
        where = self.key_pattern(text or "", bucket_name, kind=kind) if kind else self.prefix(text, bucket_name)
        return (unambiguous_name(found) for found in self.find_objects(where, delimiter=delimiter))

    def find_objects(
        self, where: PrefixRef | KeyPattern, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ObjectRef]:
        """Yield the objects of a prefix or a pattern. Each page is fetched only when it is needed.

        :param where: the result of :meth:`~.ConnectedHook.prefix` or :meth:`~.ConnectedHook.key_pattern`
        :param start_after: only keys after this one
        :param delimiter: leave out keys that contain it after the prefix, or after the pattern's literal beginning
        """
        check_text("delimiter", delimiter)
        limits = ListingLimits(start_after=start_after, delimiter=delimiter)
        return (ObjectRef(where.bucket, listed.key) for listed in self._listed(where, limits))

    def iter_file_metadata(
        self,
        prefix: str | None = None,
        bucket_name: str | None = None,
        page_size: int | None = None,
        max_items: int | None = None,
    ) -> Iterator[ObjectEntry]:
        """Yield the objects whose keys start with a prefix, with sizes, ETags and dates, page by page.

        :param prefix: as for :meth:`~.ListingMethods.list_keys`
        :raises ArgumentError: as :meth:`~.ListingMethods.list_keys`
        """
        where = self.prefix(prefix, bucket_name)
        limits = ListingLimits(page_size, max_items)
        return (ObjectEntry.of(where.bucket, listed) for listed in self._listed(where, limits))

    def get_file_metadata(
        self,
        prefix: str | None = None,
        bucket_name: str | None = None,
        page_size: int | None = None,
        max_items: int | None = None,
    ) -> list[ObjectEntry]:
        """Return the objects of :meth:`~.ListingMethods.iter_file_metadata` as a list. A task may return it."""
        return list(self.iter_file_metadata(prefix, bucket_name, page_size, max_items))

    def list_prefixes(
        self,
        bucket_name: str | None = None,
        prefix: str | None = None,
        delimiter: str = "/",
        page_size: int | None = None,
        max_items: int | None = None,
    ) -> list[str]:
        """Return the prefixes one level below a prefix, like subfolders. Each ends with the delimiter.

        :param prefix: as for :meth:`~.ListingMethods.list_keys`
        :raises ArgumentError: as :meth:`~.ConnectedHook.prefix`, and for an empty delimiter
        """
        refuse_empty(
            "delimiter", _given("delimiter", delimiter), instead="set it to the character that separates folders"
        )
        where = self.prefix(prefix, bucket_name)
        limits = ListingLimits(page_size, max_items)
        pages = self.get_conn().list_pages(
            where.bucket, prefix=where.prefix, delimiter=delimiter, page_size=limits.page
        )
        found = (each for page in pages for each in page.prefixes)
        return [unambiguous_name(ObjectRef(where.bucket, each)) for each in islice(found, limits.most)]

    def check_for_prefix(self, prefix: str, delimiter: str = "/", bucket_name: str | None = None) -> bool:
        """Return whether any key starts with the prefix followed by the delimiter, so that the folder is not empty.

        :param prefix: with or without the delimiter at its end. ``oss://bucket/`` looks for any object in the bucket
        :raises ArgumentError: as :meth:`~.ConnectedHook.prefix`
        """
        check_text("delimiter", delimiter)
        where = self.prefix(_given("prefix", prefix), bucket_name)
        has_end = not where.prefix or where.prefix.endswith(delimiter)
        folder = where.prefix if has_end else where.prefix + delimiter
        limits = ListingLimits(max_items=1)
        return any(True for _ in self._listed(PrefixRef(where.bucket, folder), limits))

    def check_for_wildcard_key(self, wildcard_key: str, bucket_name: str | None = None, delimiter: str = "") -> bool:
        """Return whether a key matches the pattern; see :meth:`~.ListingMethods.get_wildcard_key`."""
        return self.get_wildcard_key(wildcard_key, bucket_name, delimiter) is not None

    def get_wildcard_key(
        self, wildcard_key: str, bucket_name: str | None = None, delimiter: str = ""
    ) -> ObjectEntry | None:
        """Return the first object whose whole key matches the pattern, or None.

        :param wildcard_key: a pattern with ``*``, ``?``, ``[ab]`` and ``[!ab]``, or an ``oss://`` URL with one
        :param delimiter: leave out keys that contain it after the pattern's literal beginning
        :raises ArgumentError: as :meth:`~.ConnectedHook.key_pattern`
        """
        where = self.key_pattern(wildcard_key, bucket_name, kind="wildcard")
        found = self._listed(where, ListingLimits(delimiter=delimiter))
        return next((ObjectEntry.of(where.bucket, listed) for listed in found), None)

    def _listed(self, where: PrefixRef | KeyPattern, limits: ListingLimits) -> Iterator[ListedObject]:
        page_size = limits.page if isinstance(where, PrefixRef) else ListingLimits(limits.page_size).page
        pages = self.get_conn().list_pages(
            where.bucket,
            prefix=where.prefix,
            start_after=limits.start_after or "",
            delimiter=limits.delimiter or "",
            page_size=page_size,
        )
        found = (each for page in pages for each in page.objects if where.matches(each.key) and limits.takes(each))
        return islice(found, limits.most)


def _given(argument: str, value: str | None) -> str:
    if value is None:
        raise ArgumentError(argument, value, "give a string")
    return value
