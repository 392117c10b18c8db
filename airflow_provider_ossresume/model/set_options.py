"""The options of a transfer of many files, as a DAG author sets them, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, get_args

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import (
    Duration,
    Flag,
    check_choice,
    check_text,
    parse_duration,
    parse_flag,
    parse_texts,
    parse_whole_number,
    refuse_empty,
)
from airflow_provider_ossresume.model.globs import Globs
from airflow_provider_ossresume.model.manifest import Compare, Mode
from airflow_provider_ossresume.model.object_names import check_bucket, check_key, parse_oss_url
from airflow_provider_ossresume.model.object_options import ObjectOptions, object_headers
from airflow_provider_ossresume.model.parts import GIB, MIB, parse_number, parse_size
from airflow_provider_ossresume.model.set_names import folder_prefix

Symlinks = Literal["fail", "skip", "follow"]
FailOrSkip = Literal["fail", "skip"]
EmptyFolders = Literal["ignore", "marker"]
SourceChangedInSet = Literal["skip", "take", "fail"]
VanishedInSet = Literal["skip", "fail"]
TargetChangedInSet = Literal["overwrite", "fail"]

MOST_BATCHES = 1_000  # each mapped task reads a list of all batches: docs/many-files
MOST_FILES = 5_000_000
MOST_BATCH_FILES = 100_000


@dataclass(frozen=True)
class SetOptions:
    """The options of a transfer of many files.

    :param mode: ``copy``, or ``mirror``. A mirror also deletes from the target what the source does not have, after all
        files are moved
    :param compare: which files count as unchanged: ``crc64`` (same size and CRC-64), ``size_mtime`` (same size, and the
        mtime that ``keep_mtime`` stored), ``size``, ``missing`` (all that exist) or ``always`` (none)
    :param include: globs of relative names; all files by default. ``*`` does not match a slash, ``**`` does
    :param exclude: globs of names to leave out, even if ``include`` matches them
    :param min_size: leave out smaller files: bytes, or a string such as ``10MiB``
    :param max_size: leave out larger files
    :param newer_than: leave out files that were modified longer ago: a duration such as ``"1d"``
    :param older_than: leave out files that were modified since, for example because they are still being written
    :param symlinks: what to do with a symbolic link in the source: ``fail``, ``skip`` or ``follow`` it
    :param special_files: what to do with a socket, pipe or device: ``fail`` or ``skip``
    :param empty_folders: ``ignore`` them, or write a ``marker``: an empty object whose key ends with ``/``
    :param bad_names: what to do with a name that the target does not allow: ``fail`` or ``skip``
    :param archived: what to do with an object that must be restored first: ``fail`` or ``skip``
    :param batch_bytes: the maximum size of a batch, at least 1 MiB; see docs/many-files. A larger file gets its own
        batch
    :param batch_files: the maximum number of files in a batch, 1 to 100,000
    :param max_batches: the maximum number of batches, 1 to 1,000. If more are needed, batches get larger
    :param max_files: the plan fails if there are more files; 1 to 5,000,000
    :param max_delete: the plan of a mirror fails if more files would be deleted
    :param max_delete_share: the same limit, as a share of the target's files, from 0 to 1
    :param allow_empty_source: allow an empty source. A mirror then deletes everything
    :param source_changed: what a batch does with a file that changed since the plan: ``skip`` and count it, ``take``
        it as it is now, or ``fail``
    :param vanished: what a batch does with a file that no longer exists: ``skip`` or ``fail``
    :param target_changed: what a batch does if the target changed since the plan: ``overwrite`` or ``fail``
    :param max_failures: a batch stops if more files than this have failed; 0: at the first
    :param keep_mtime: store a file's mtime with its object, and set it again when the object is downloaded
    :param files_from: a list of relative names to move, instead of listing the source: an absolute path, or a
        ``file:///`` or ``oss://bucket/key`` URL. See :mod:`~airflow_provider_ossresume.sets.plan.name_list`
    :param backup_prefix: an ``oss://bucket/prefix/`` URL. A mirror copies objects there before it deletes them
    :param object_options: the options of each object that is written, such as ``storage_class`` and ``metadata``; see
        :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`
    """

    mode: Mode = "copy"
    compare: Compare = "crc64"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_size: int | str | None = None
    max_size: int | str | None = None
    newer_than: Duration | None = None
    older_than: Duration | None = None
    symlinks: Symlinks = "fail"
    special_files: FailOrSkip = "fail"
    empty_folders: EmptyFolders = "ignore"
    bad_names: FailOrSkip = "fail"
    archived: FailOrSkip = "fail"
    batch_bytes: int | str = 16 * GIB
    batch_files: int | str = 5_000
    max_batches: int | str = 256
    max_files: int | str = 1_000_000
    max_delete: int | str = 1_000
    max_delete_share: float | str = 0.1
    allow_empty_source: Flag = False
    source_changed: SourceChangedInSet = "skip"
    vanished: VanishedInSet = "skip"
    target_changed: TargetChangedInSet = "overwrite"
    max_failures: int | str = 100
    keep_mtime: Flag = False
    files_from: str | None = None
    backup_prefix: str | None = None
    object_options: ObjectOptions = field(default_factory=lambda: ObjectOptions())
    filters: Globs = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), get_args(choices))
        for name in ("include", "exclude"):
            self._set(name, tuple(parse_texts(name, getattr(self, name))))
            if "None" in getattr(self, name):
                raise ArgumentError(
                    name,
                    "None",
                    "perhaps a template rendered to nothing; correct it. To match a file of this name, write [N]one",
                )
        for name in ("min_size", "max_size"):
            if getattr(self, name) is not None:
                self._set(name, parse_size(name, getattr(self, name)))
        for name in ("newer_than", "older_than"):
            if getattr(self, name) is not None:
                self._set(name, parse_duration(name, getattr(self, name)).total_seconds())
        self._set("batch_bytes", parse_size("batch_bytes", self.batch_bytes))
        if int(self.batch_bytes) < MIB:
            raise ArgumentError("batch_bytes", self.batch_bytes, "give at least 1 MiB")
        for name, least, most in (
            ("batch_files", 1, MOST_BATCH_FILES),
            ("max_batches", 1, MOST_BATCHES),
            ("max_files", 1, MOST_FILES),
            ("max_delete", 0, MOST_FILES),
            ("max_failures", 0, MOST_FILES),
        ):
            self._set(name, parse_whole_number(name, getattr(self, name), least=least, most=most))
        share = parse_number(self.max_delete_share)
        if share is None or not 0 <= share <= 1:
            raise ArgumentError("max_delete_share", self.max_delete_share, "give a number from 0 to 1")
        self._set("max_delete_share", float(share))
        for name in ("allow_empty_source", "keep_mtime"):
            self._set(name, parse_flag(name, getattr(self, name)))
        if self.files_from is not None:
            check_list_place(self.files_from)
            if self.mode == "mirror":
                raise ArgumentError(
                    "files_from", self.files_from, 'it cannot be used with mode="mirror", which would delete all that '
                    'the list does not name; use mode="copy"'
                )  # fmt: skip
        if self.backup_prefix is not None:
            self._set("backup_prefix", _backup_uri(self.backup_prefix))
            if self.mode != "mirror":
                raise ArgumentError(
                    "backup_prefix", self.backup_prefix, f'it is for mode="mirror", and mode="{self.mode}" deletes '
                    "nothing; leave it out"
                )  # fmt: skip
        self._set("object_options", _plain(self.object_options))
        self._set("filters", Globs(self.include, self.exclude))

    def as_json(self) -> dict[str, Any]:
        """Return the options as JSON values for ``plan.json``; :meth:`of_json` reads them."""
        return {
            each.name: list(value) if isinstance(value := getattr(self, each.name), tuple) else value
            for each in fields(self)
            if each.init
        }

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> SetOptions:
        """Return the options that a plan was made with; what this version does not know is left out."""
        return cls(**{each.name: values[each.name] for each in fields(cls) if each.init and each.name in values})

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def check_list_place(where: object) -> str:
    """Return the place of a list of names: an absolute path, a ``file:///`` or an ``oss://bucket/key`` URL.

    :raises ArgumentError: for anything else, such as the empty string that a template rendered
    """
    check_text("files_from", where)
    refuse_empty("files_from", where)
    text = str(where)
    if text.startswith("oss://"):
        bucket, key = parse_oss_url(text, argument="files_from")
        check_bucket(bucket, argument="files_from")
        check_key(key, argument="files_from")
    elif not text.startswith(("/", "~", "file:///")):
        raise ArgumentError(
            "files_from", text, "give the absolute path of a list of names, or an oss://bucket/key URL of one"
        )
    return text


def _backup_uri(where: object) -> str:
    check_text("backup_prefix", where)
    refuse_empty("backup_prefix", where)
    bucket, prefix = parse_oss_url(str(where), argument="backup_prefix")
    if prefix:
        check_key(prefix, argument="backup_prefix")
    return f"oss://{check_bucket(bucket, argument='backup_prefix')}/{folder_prefix(prefix)}"


def _plain(options: ObjectOptions) -> dict[str, Any]:
    """Return object options as JSON values, without those that are None or empty.

    :raises ArgumentError: for an option that OSS would refuse
    """
    object_headers("name", options)
    return {
        name: dict(value) if isinstance(value, Mapping) else value.isoformat() if isinstance(value, datetime) else value
        for name, value in options.items()
        if value not in (None, "")
    }


_CHOICES: dict[str, Any] = {
    "mode": Mode,
    "compare": Compare,
    "symlinks": Symlinks,
    "special_files": FailOrSkip,
    "empty_folders": EmptyFolders,
    "bad_names": FailOrSkip,
    "archived": FailOrSkip,
    "source_changed": SourceChangedInSet,
    "vanished": VanishedInSet,
    "target_changed": TargetChangedInSet,
}
