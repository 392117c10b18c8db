"""What a task acts on, guarded against templates that find nothing."""

from __future__ import annotations

from typing import Any

from airflow_provider_ossresume.errors import ArgumentError

# Each of them is optional, and leaving it out means more than naming it: the connection's bucket, the whole bucket,
# all checkpoints, the worker's own key, the current version, files of all sizes and ages, all files of a source,
# another work folder, or less care: no backup, a target that is not listed again.
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
    """For operators and sensors: a template field that was given and that a template made None is not "left out".

    A template of a DAG with ``render_template_as_native_obj``, and an XComArg, set a field to None when they find
    nothing. A None that the DAG's author writes stays what it is.
    """

    _lost: frozenset[str] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _MORE_WHEN_LEFT_OUT:
            was_given = getattr(self, name, None) is not None
            lost = self._lost | {name} if value is None and was_given else self._lost - {name}
            super().__setattr__("_lost", lost)
        super().__setattr__(name, value)

    def _refuse_fields_lost_in_rendering(self) -> None:
        """:raises ArgumentError: for a field that a template made None"""
        for name in sorted(self._lost):
            raise ArgumentError(name, None, "its template or XCom is None; correct that, or leave the argument out")
