"""What the hook does to find objects."""

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

    Everywhere ``page_size`` is how many entries OSS puts into one answer, 1 to 1,000, and ``max_items`` how many are
    wanted at most. Entries come in the order of their keys' bytes.
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
        """Return the keys that begin with the prefix; all pages are fetched.

        What is returned, given back with the same bucket, names the same object: a key that looks like a
        URL, or like a list, stands here as its URI.

        :param prefix: what the keys begin with, or an ``oss://bucket/prefix`` URL; None for the whole bucket
        :param delimiter: keys that hold it behind the prefix are left out, as those in sub-folders
        :param start_after_key: only keys behind this one
        :param from_datetime: only objects that were modified after it; a time with its zone
        :param to_datetime: only objects that were modified until then, itself included; the same
        :param apply_wildcard: the prefix is a pattern for whole keys, as :meth:`~.ConnectedHook.key_pattern` has it
        :raises ArgumentError: as :meth:`~.ConnectedHook.prefix`, and for a limit that cannot be used
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
        """Yield the keys that begin with a prefix or match a pattern, page by page.

        They are named as :meth:`~.ListingMethods.list_keys` names them.

        :param text: the prefix, or the pattern, or an ``oss://`` URL of either; None for the whole bucket
        :param kind: ``wildcard`` or ``regex``; None for a prefix
        :raises ArgumentError: as :meth:`~.ConnectedHook.key_pattern` and :meth:`~.ConnectedHook.prefix`
        """
        where = self.key_pattern(text or "", bucket_name, kind=kind) if kind else self.prefix(text, bucket_name)
        return (unambiguous_name(found) for found in self.find_objects(where, delimiter=delimiter))

    def find_objects(
        self, where: PrefixRef | KeyPattern, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ObjectRef]:
        """Yield the objects of a prefix, or that match a pattern; further pages are fetched as they are asked for.

        :param where: what :meth:`~.ConnectedHook.prefix` or :meth:`~.ConnectedHook.key_pattern` returns
        :param start_after: only keys behind this one
        :param delimiter: keys that hold it behind the prefix, or the pattern's literal beginning, are left out
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
        """Yield the objects that begin with the prefix, with sizes, ETags and dates, as their pages come.

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
        """Return what :meth:`~.ListingMethods.iter_file_metadata` yields, all of it in memory; a task may return it."""
        return list(self.iter_file_metadata(prefix, bucket_name, page_size, max_items))

    def list_prefixes(
        self,
        bucket_name: str | None = None,
        prefix: str | None = None,
        delimiter: str = "/",
        page_size: int | None = None,
        max_items: int | None = None,
    ) -> list[str]:
        """Return the prefixes one level below the prefix, as folders are; each ends with the delimiter.

        :param prefix: as for :meth:`~.ListingMethods.list_keys`
        :raises ArgumentError: as :meth:`~.ConnectedHook.prefix`, and for an empty delimiter
        """
        refuse_empty(
            "delimiter", _given("delimiter", delimiter), instead="give the character that ends a folder's name"
        )
        where = self.prefix(prefix, bucket_name)
        limits = ListingLimits(page_size, max_items)
        pages = self.get_conn().list_pages(
            where.bucket, prefix=where.prefix, delimiter=delimiter, page_size=limits.page
        )
        found = (each for page in pages for each in page.prefixes)
        return [unambiguous_name(ObjectRef(where.bucket, each)) for each in islice(found, limits.most)]

    def check_for_prefix(self, prefix: str, delimiter: str = "/", bucket_name: str | None = None) -> bool:
        """Tell whether there is an object in a folder: one whose key begins with the prefix and the delimiter.

        :param prefix: with the delimiter at its end or without; ``oss://bucket/`` asks for any object of the bucket
        :raises ArgumentError: as :meth:`~.ConnectedHook.prefix`
        """
        check_text("delimiter", delimiter)
        where = self.prefix(_given("prefix", prefix), bucket_name)
        has_end = not where.prefix or where.prefix.endswith(delimiter)
        folder = where.prefix if has_end else where.prefix + delimiter
        limits = ListingLimits(max_items=1)
        return any(True for _ in self._listed(PrefixRef(where.bucket, folder), limits))

    def check_for_wildcard_key(self, wildcard_key: str, bucket_name: str | None = None, delimiter: str = "") -> bool:
        """Tell whether a key matches; see :meth:`~.ListingMethods.get_wildcard_key`."""
        return self.get_wildcard_key(wildcard_key, bucket_name, delimiter) is not None

    def get_wildcard_key(
        self, wildcard_key: str, bucket_name: str | None = None, delimiter: str = ""
    ) -> ObjectEntry | None:
        """Return the first object whose whole key matches the pattern, or None.

        :param wildcard_key: with ``*``, ``?``, ``[ab]`` and ``[!ab]``, or an ``oss://`` URL of it
        :param delimiter: keys that hold it behind the pattern's literal beginning are left out
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
        raise ArgumentError(argument, value, "give a text")
    return value
