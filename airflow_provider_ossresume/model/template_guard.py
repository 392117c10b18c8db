"""Guards operators and sensors against templates that render to None."""

from __future__ import annotations

from typing import Any

from airflow_provider_ossresume.errors import ArgumentError

# These fields are optional, and without them a task acts on more: the whole bucket, all checkpoints, files of all sizes
# and ages, all files of a source. Or it acts elsewhere: in the connection's bucket, with the worker's own key, on the
# current version, in another work folder. Or with less care: without a backup, without listing the target again.
_MORE_WHEN_LEFT_OUT = frozenset(
    {
        "backup_prefix",
        "bucket_name",
        "files_from",
        "keys",
        "keep_upload_ids",
        "max_size",
        "min_size",
        "names",
        "newer_than",
        "older_than",
        "oss_conn_id",
        "prefix",
        "recheck",
        "regex",
        "region",
        "source_bucket_name",
        "source_conn_id",
        "source_version_id",
        "spare_checkpoints",
        "version_id",
        "wildcard",
        "work_folder",
    }
)


class TemplateGuard:
    """For operators and sensors: makes it an error if a template turns one of the fields above into None.

    A template of a DAG with ``render_template_as_native_obj``, or an XComArg, makes a field None if it finds nothing.
    That must not count as "left out". A None that the DAG's author writes is allowed.
    """

    _lost: frozenset[str] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _MORE_WHEN_LEFT_OUT:
            was_given = getattr(self, name, None) is not None
            lost = self._lost | {name} if value is None and was_given else self._lost - {name}
            super().__setattr__("_lost", lost)
        super().__setattr__(name, value)

    def _refuse_fields_lost_in_rendering(self) -> None:
        """:raises ArgumentError: for a field that a template has made None"""
        for name in sorted(self._lost):
            raise ArgumentError(name, None, "its template or XCom is None; correct it, or leave the argument out")
