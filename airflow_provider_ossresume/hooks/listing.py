"""What the hook does to find objects."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.model.objects import (
    ObjectRef,
    PrefixRef,
    check_text,
)
from airflow_provider_ossresume.model.patterns import KeyPattern, PatternKind


class ListingMethods(ConnectedHook):
    """The methods of the hook that list keys, prefixes and objects."""

    def list_keys(
        self, bucket_name: str | None = None, *, prefix: str | None = None, start_after: str = "", delimiter: str = ""
    ) -> list[str]:
        """Return the keys that begin with the prefix, in the order of their bytes; all pages are fetched.

        What is returned, given back with the same bucket, names the same object: a key that looks like a
        URL, or like a list, stands here as its URI.

        :param prefix: what the keys begin with, or an ``oss://bucket/prefix`` URL; None for the whole bucket
        :param start_after: only keys behind this one
        :param delimiter: keys that hold it behind the prefix are left out, as those in sub-folders
        :raises ArgumentError: as :meth:`~.ConnectedHook.prefix`
        """
        where = self.prefix(prefix, bucket_name)
        return [found.name for found in self.find_objects(where, start_after=start_after, delimiter=delimiter)]

    def iterate_keys(
        self,
        text: str | None = None,
        bucket_name: str | None = None,
        *,
        kind: PatternKind | None = None,
        delimiter: str = "",
    ) -> Iterator[str]:
        """Yield the keys that begin with a prefix or match a pattern, as :meth:`~.ListingMethods.list_keys` returns them, page by page.

        :param text: the prefix, or the pattern, or an ``oss://`` URL of either; None for the whole bucket
        :param kind: ``wildcard`` or ``regex``; None for a prefix
        :raises ArgumentError: as :meth:`~.ConnectedHook.key_pattern` and :meth:`~.ConnectedHook.prefix`
        """
        where = self.key_pattern(text or "", bucket_name, kind=kind) if kind else self.prefix(text, bucket_name)
        return (found.name for found in self.find_objects(where, delimiter=delimiter))

    def find_objects(
        self, where: PrefixRef | KeyPattern, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ObjectRef]:
        """Yield the objects of a prefix, or that match a pattern; further pages are fetched as they are asked for.

        :param where: what :meth:`~.ConnectedHook.prefix` or :meth:`~.ConnectedHook.key_pattern` returns
        :param start_after: only keys behind this one
        :param delimiter: keys that hold it behind the prefix, or the pattern's literal beginning, are left out
        """
        check_text("delimiter", delimiter)
        objects = self.get_conn().list_objects(
            where.bucket, prefix=where.prefix, start_after=start_after, delimiter=delimiter
        )
        return (ObjectRef(where.bucket, listed.key) for listed in objects if where.matches(listed.key))
