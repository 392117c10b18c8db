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
    """List objects and return their ``oss://`` URIs, in the byte order of their keys.

    Give a prefix, a wildcard or a regular expression. Without any of them, the whole bucket is listed. Each of them may
    be an ``oss://`` URL. If there are more than ``max_keys`` objects, the task fails, because a list that is cut off is
    easily overlooked. With ``truncate`` it returns the first ones and logs a warning.

    :param bucket_name: the bucket. Default: the bucket of the URL, else of the connection (templated)
    :param prefix: the start of the keys (templated)
    :param wildcard: the whole key, with ``*`` (any text, slashes included), ``?``, ``[ab]`` and ``[!ab]`` (templated)
    :param regex: a regular expression that matches the start of the key, as in :func:`re.match` (templated)
    :param delimiter: leave out keys that contain it after the prefix. For a pattern, the prefix ends at its first
        special character. ``/`` leaves out subfolders (templated)
    :param max_keys: the maximum number of URIs, 1 to 100,000; they become one XCom (templated)
    :param truncate: return the first ``max_keys`` URIs if there are more (templated)
    :param region: overrides the connection's region (templated)
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
                "max_keys", self.max_keys, "there are more objects; raise it, list fewer objects, or set truncate=True"
            )
        if len(uris) > most:
            log.warning("Returning only the first %s URIs; there are more objects", most)
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
                # The error names the sensor's argument, because the sensor uses the same patterns.
                name = kind if error.argument == "bucket_key" else error.argument
                raise ArgumentError(name, error.value, error.reason) from None
        return self.hook.prefix(self.prefix, self.bucket_name)

    def _watched(self, objects: Iterable[ObjectRef]) -> Iterator[ObjectRef]:
        for each in objects:
            self._watch()
            yield each


class OSSDeleteObjectsOperator(OSSOperator):
    """Delete objects by their keys or by a prefix, 1,000 in each request.

    An object that does not exist counts as deleted, so a retry does only what is left. In a bucket with versions, each
    object gets a delete marker and its bytes are kept. Returns a report, with deleted, would_delete, failed, and the
    first 100 URIs and errors.

    Only what you name is deleted. An empty key, prefix or bucket name is an error, because a template may have rendered
    to nothing. An empty list of keys is a success. To delete all objects of a bucket, set ``whole_bucket``.

    :param keys: a key, an ``oss://`` URL, or a list of them, as :class:`OSSListOperator` returns it (templated)
    :param prefix: the start of the keys, or an ``oss://bucket/prefix`` URL (templated)
    :param bucket_name: the bucket. Default: the bucket of the URL, else of the connection (templated)
    :param whole_bucket: delete all objects of the bucket, without ``keys`` and ``prefix`` (templated)
    :param is_dry_run: delete nothing, and report what would be deleted (templated)
    :param region: overrides the connection's region (templated)
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
            raise ArgumentError("keys", self.keys, "set exactly one of keys, prefix and whole_bucket=True")
        if self.keys is not None:
            return [self.hook.target(key, self.bucket_name) for key in parse_texts("keys", self.keys)]
        where = self.hook.prefix(self.prefix, self.bucket_name)
        refuse_whole_bucket(self.prefix, where, instead="set bucket_name and whole_bucket=True, and remove prefix")
        return self.hook.find_objects(where)


class OSSDeleteObjectOperator(OSSOperator):
    """Delete one object. An object that does not exist counts as deleted.

    An empty key fails the task, and so does a template that rendered to None. Returns the same report as
    :class:`OSSDeleteObjectsOperator`, which deletes more than one object.

    :param key: the key, or an ``oss://`` URL (templated)
    :param bucket_name: the bucket. Default: the bucket of the URL, else of the connection (templated)
    :param region: overrides the connection's region (templated)
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
