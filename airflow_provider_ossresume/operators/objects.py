"""Operators that list and delete objects."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import ArgumentError, PartlyFailed
from airflow_provider_ossresume.model.arguments import parse_flag, parse_texts, parse_whole_number
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.waiting import DEFAULT_MAX_MATCHES, MOST_MATCHES
from airflow_provider_ossresume.operators._base import OSSOperator

if TYPE_CHECKING:
    from airflow_provider_ossresume.model.patterns import PatternKind


log = logging.getLogger(__name__)


class OSSListOperator(OSSOperator):
    """Return the keys of a bucket that begin with a prefix or match a pattern, in the order of their bytes.

    Give a prefix, a wildcard or a regular expression, or none of them for all keys. Each may be an ``oss://`` URL, too.
    More keys than ``max_keys`` fail the task, as nobody would miss what is left out; with ``truncate`` the first ones
    are returned, and the log says that there are more.

    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param prefix: what the keys begin with (templated)
    :param wildcard: the whole key, with ``*`` (any text, slashes included), ``?``, ``[ab]`` and ``[!ab]`` (templated)
    :param regex: a regular expression that the key must begin with, as in :func:`re.match` (templated)
    :param delimiter: keys that hold it behind the prefix, or behind what a pattern begins with before its first
        special character, are left out; ``/`` leaves out what is in sub-folders (templated)
    :param max_keys: how many keys may be returned; they become one XCom (templated)
    :param truncate: return the first ``max_keys`` keys when there are more
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
        truncate: bool = False,
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
        keys = list(itertools.islice(self._watched(self._listed()), most + 1))
        if len(keys) > most and not self.truncate:
            raise ArgumentError(
                "max_keys", self.max_keys, "there are more keys; raise it, narrow the listing, or set truncate=True"
            )
        if len(keys) > most:
            log.warning("There are more keys than the %s that are returned", most)
        return keys[:most]

    def _listed(self) -> Iterator[str]:
        patterns: dict[PatternKind, str | None] = {"wildcard": self.wildcard, "regex": self.regex}
        given = {kind: text for kind, text in patterns.items() if text is not None}
        if len(given) + (self.prefix is not None) > 1:
            raise ArgumentError("prefix", self.prefix, "give only one of prefix, wildcard and regex")
        for kind, text in given.items():
            try:
                return self.hook.iterate_keys(text, self.bucket_name, kind=kind, delimiter=self.delimiter)
            except ArgumentError as error:
                # The sensor, whose patterns these are too, calls them by another name.
                name = kind if error.argument == "bucket_key" else error.argument
                raise ArgumentError(name, error.value, error.reason) from None
        return self.hook.iterate_keys(self.prefix or "", self.bucket_name, delimiter=self.delimiter)

    def _watched(self, keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            self._watch()
            yield key


class OSSDeleteObjectsOperator(OSSOperator):
    """Delete objects by their keys, or all that begin with a prefix; 1,000 a request.

    An object that does not exist counts as deleted, so a retry does what is left. In a bucket with versions the current
    versions get a delete marker, and their bytes stay. Returns a report: deleted, would_delete, failed, and the first
    100 URIs and errors.

    An empty prefix is refused, as one that a template leaves empty would delete everything.

    :param keys: a key or keys, or ``oss://`` URLs (templated)
    :param prefix: what the keys begin with, or an ``oss://bucket/prefix`` URL (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)
    :param whole_bucket: delete every object of the bucket; then an empty prefix, or none, is fine
    :param dry_run: delete nothing and report what would be (templated, as ``is_dry_run``)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)
    """

    # BaseOperator has a method dry_run, for `airflow tasks test --dry-run`: an attribute would hide it.
    template_fields: Sequence[str] = ("keys", "prefix", "bucket_name", "is_dry_run", "region", "oss_conn_id")
    ui_color = "#f7d4cf"

    def __init__(
        self,
        *,
        keys: str | Sequence[str] | None = None,
        prefix: str | None = None,
        bucket_name: str | None = None,
        whole_bucket: bool = False,
        dry_run: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keys = keys
        self.prefix = prefix
        self.bucket_name = bucket_name
        self.whole_bucket = whole_bucket
        self.is_dry_run = dry_run

    def _work(self, context: Any) -> dict[str, Any]:
        report = self.hook.delete_many(
            self._targets(), dry_run=parse_flag("dry_run", self.is_dry_run), watch=self._watch
        )
        if report.errors:
            raise PartlyFailed(f"{len(report.errors)} objects were not deleted", report.errors)
        return report.report()

    def _targets(self) -> Iterable[ObjectRef]:
        if self.keys is not None:
            if self.prefix is not None or self.whole_bucket:
                raise ArgumentError("keys", self.keys, "give keys, or a prefix, or whole_bucket=True, and only one")
            return [self.hook.target(key, self.bucket_name) for key in parse_texts("keys", self.keys)]
        bucket, prefix = self.hook.bucket_and_prefix(self.prefix or "", self.bucket_name)
        if not prefix and not self.whole_bucket:
            raise ArgumentError(
                "prefix", self.prefix, "this would delete every object; give a prefix, or keys, or whole_bucket=True"
            )
        return (ObjectRef(bucket, key) for key in self.hook.iterate_keys(prefix, bucket))
