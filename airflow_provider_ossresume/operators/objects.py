"""Operators that list and delete objects."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import ArgumentError, PartlyFailed
from airflow_provider_ossresume.model.arguments import parse_flag, parse_texts, parse_whole_number
from airflow_provider_ossresume.model.object_names import refuse_whole_bucket
from airflow_provider_ossresume.model.objects import ObjectRef, PrefixRef
from airflow_provider_ossresume.model.waiting import DEFAULT_MAX_MATCHES, MOST_MATCHES
from airflow_provider_ossresume.operators._base import OSSOperator

if TYPE_CHECKING:
    from airflow_provider_ossresume.model.arguments import Flag
    from airflow_provider_ossresume.model.patterns import KeyPattern, PatternKind


log = logging.getLogger(__name__)


class OSSListOperator(OSSOperator):
    """Return the ``oss://`` URIs of objects whose keys begin with a prefix or match a pattern, in the order of bytes.

    Give a prefix, a wildcard or a regular expression, or none of them for the whole bucket. Each may be an ``oss://``
    URL, too. More objects than ``max_keys`` fail the task, as nobody would miss what is left out; with ``truncate`` the
    first ones are returned, and the log says that there are more.

    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param prefix: what the keys begin with (templated)
    :param wildcard: the whole key, with ``*`` (any text, slashes included), ``?``, ``[ab]`` and ``[!ab]`` (templated)
    :param regex: a regular expression that the key must begin with, as in :func:`re.match` (templated)
    :param delimiter: keys that hold it behind the prefix, or behind what a pattern begins with before its first
        special character, are left out; ``/`` leaves out what is in sub-folders (templated)
    :param max_keys: how many URIs may be returned; they become one XCom (templated)
    :param truncate: return the first ``max_keys`` URIs when there are more (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    """

    template_fields: Sequence[str] = (
        "bucket_name",
        "prefix",
        "wildcard",
        "regex",
        "delimiter",
        "max_keys",
        "truncate",
        "region",
        "oss_conn_id",
    )
    ui_color = "#e4f1dd"

    def __init__(
        self,
        *,
        bucket_name: str | None = None,
        prefix: str | None = None,
        wildcard: str | None = None,
        regex: str | None = None,
        delimiter: str = "",
        max_keys: int | str = DEFAULT_MAX_MATCHES,
        truncate: Flag = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket_name = bucket_name
        self.prefix = prefix
        self.wildcard = wildcard
        self.regex = regex
        self.delimiter = delimiter
        self.max_keys = max_keys
        self.truncate = truncate

    def _work(self, context: Any) -> list[str]:
        most = parse_whole_number("max_keys", self.max_keys, most=MOST_MATCHES)
        truncate = parse_flag("truncate", self.truncate)
        found = self.hook.find_objects(self._where(), delimiter=self.delimiter)
        uris = [each.uri for each in itertools.islice(self._watched(found), most + 1)]
        if len(uris) > most and not truncate:
            raise ArgumentError(
                "max_keys", self.max_keys, "there are more objects; raise it, narrow the listing, or set truncate=True"
            )
        if len(uris) > most:
            log.warning("Only the first %s URIs are returned; there are more objects", most)
        return uris[:most]

    def _where(self) -> PrefixRef | KeyPattern:
        patterns: dict[PatternKind, str | None] = {"wildcard": self.wildcard, "regex": self.regex}
        given = {kind: text for kind, text in patterns.items() if text is not None}
        if len(given) + (self.prefix is not None) > 1:
            raise ArgumentError("prefix", self.prefix, "give only one of prefix, wildcard and regex")
        for kind, text in given.items():
            try:
                return self.hook.key_pattern(text, self.bucket_name, kind=kind)
            except ArgumentError as error:
                # The sensor, whose patterns these are too, calls them by another name.
                name = kind if error.argument == "bucket_key" else error.argument
                raise ArgumentError(name, error.value, error.reason) from None
        return self.hook.prefix(self.prefix, self.bucket_name)

    def _watched(self, objects: Iterable[ObjectRef]) -> Iterator[ObjectRef]:
        for each in objects:
            self._watch()
            yield each


class OSSDeleteObjectsOperator(OSSOperator):
    """Delete objects by their keys, or all that begin with a prefix; 1,000 a request.

    An object that does not exist counts as deleted, so a retry does what is left. In a bucket with versions the current
    versions get a delete marker, and their bytes stay. Returns a report: deleted, would_delete, failed, and the first
    100 URIs and errors.

    Only what is named is deleted. An empty key, prefix or bucket name, as a template leaves it that found nothing, is
    an error. An empty list of keys is nothing to do, and a success. For a whole bucket set ``whole_bucket``.

    :param keys: a key or keys, or ``oss://`` URLs, as :class:`OSSListOperator` returns them (templated)
    :param prefix: what the keys begin with, or an ``oss://bucket/prefix`` URL (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param whole_bucket: delete every object of the bucket; leave keys and prefix out (templated)
    :param is_dry_run: delete nothing and report what would be (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    """

    template_fields: Sequence[str] = (
        "keys",
        "prefix",
        "bucket_name",
        "whole_bucket",
        "is_dry_run",
        "region",
        "oss_conn_id",
    )
    ui_color = "#f7d4cf"

    def __init__(
        self,
        *,
        keys: str | Sequence[str] | None = None,
        prefix: str | None = None,
        bucket_name: str | None = None,
        whole_bucket: Flag = False,
        is_dry_run: Flag = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keys = keys
        self.prefix = prefix
        self.bucket_name = bucket_name
        self.whole_bucket = whole_bucket
        self.is_dry_run = is_dry_run

    def _work(self, context: Any) -> dict[str, Any]:
        is_dry_run = parse_flag("is_dry_run", self.is_dry_run)
        report = self.hook.delete_many(self._targets(), dry_run=is_dry_run, watch=self._watch)
        if report.errors:
            raise PartlyFailed(f"{len(report.errors)} objects were not deleted", report.errors)
        return report.report()

    def _targets(self) -> Iterable[ObjectRef]:
        whole_bucket = parse_flag("whole_bucket", self.whole_bucket)
        if (self.keys is not None) + (self.prefix is not None) + whole_bucket != 1:
            raise ArgumentError("keys", self.keys, "give keys, or a prefix, or whole_bucket=True, and only one of them")
        if self.keys is not None:
            return [self.hook.target(key, self.bucket_name) for key in parse_texts("keys", self.keys)]
        where = self.hook.prefix(self.prefix, self.bucket_name)
        refuse_whole_bucket(self.prefix, where, instead="set bucket_name and whole_bucket=True, and leave prefix out")
        return self.hook.find_objects(where)


class OSSDeleteObjectOperator(OSSOperator):
    """Delete one object; one that does not exist counts as deleted. For several: :class:`OSSDeleteObjectsOperator`.

    An empty key fails the task, and so does one that a template made None. Returns the report of that operator.

    :param key: the key, or an ``oss://`` URL (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    """

    template_fields: Sequence[str] = ("key", "bucket_name", "region", "oss_conn_id")
    ui_color = "#f7d4cf"

    def __init__(self, *, key: str, bucket_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key = key
        self.bucket_name = bucket_name

    def _work(self, context: Any) -> dict[str, Any]:
        report = self.hook.delete_many([self.hook.target(self.key, self.bucket_name)], watch=self._watch)
        if report.errors:
            raise PartlyFailed("The object was not deleted", report.errors)
        return report.report()
