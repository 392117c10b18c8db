"""What a transfer of many files is to do, as a DAG author says it."""

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

MOST_BATCHES = 1_000  # a list of them is read by each mapped task: docs/many-files
MOST_FILES = 5_000_000
MOST_BATCH_FILES = 100_000


@dataclass(frozen=True)
class SetOptions:
    """What a transfer of many files is to do besides moving bytes.

    :param mode: ``copy``, or ``mirror``: what the source does not have is deleted from the target, when all is moved
    :param compare: when a file counts as there already, and is not moved: ``crc64`` (size and CRC-64 are equal),
        ``size_mtime`` (size, and the mtime that an upload has left in the object's metadata), ``size``, ``missing`` (it
        exists, whatever it holds) or ``always`` (never)
    :param include: globs of relative names; all files by default. ``*`` stops at a slash, ``**`` does not
    :param exclude: globs of what is left out; they win
    :param min_size: bytes, or a text such as ``10MiB``; what is smaller is left out
    :param max_size: the same; what is larger is left out
    :param newer_than: a duration before now; what was modified longer ago is left out
    :param older_than: the same; what was modified since is left out
    :param symlinks: what a symbolic link in the source does: ``fail`` the plan, ``skip`` it, or ``follow`` it
    :param special_files: the same for sockets, pipes and devices
    :param empty_folders: ``ignore`` them, or make a ``marker``: an empty object whose key ends with ``/``
    :param bad_names: the same for names that the other side cannot have
    :param archived: the same for objects that have to be restored before they can be read
    :param batch_bytes: how much one batch has at most; see docs/many-files
    :param batch_files: the same, of files
    :param max_batches: batches grow where there would be more
    :param max_files: the plan fails above so many
    :param max_delete: the plan fails when it would delete more
    :param max_delete_share: the same, as a share of the target's files
    :param allow_empty_source: there may be nothing in the source; a mirror then deletes everything
    :param source_changed: what a batch does with a file that is not what the plan saw: ``skip`` it, which is counted,
        ``take`` what is there now, or ``fail``
    :param vanished: the same for one that is gone
    :param target_changed: ``overwrite`` what is not what the plan saw, or ``fail``
    :param max_failures: a batch stops if more files than this have failed; 0: at the first
    :param keep_mtime: an upload leaves the file's mtime in the object's metadata, a download sets it again
    :param files_from: where a list of relative names lies; only what it names is looked up, in place of listing the
        source. An absolute path, a ``file:///`` or an ``oss://bucket/key`` URL. See
        :mod:`~airflow_provider_ossresume.sets.plan.name_list`
    :param backup_prefix: an ``oss://bucket/prefix/`` URL; a mirror copies there what it deletes, before it does
    :param object_options: what each object gets that is made, such as ``storage_class`` and ``metadata``; see
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
                    "a template made this of nothing; correct it, or write [N]one for such a file",
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
                    "files_from", self.files_from, 'it cannot go with mode="mirror", which would delete all that the '
                    'list does not name; use mode="copy"'
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
        """Return it as ``plan.json`` has it; :meth:`of_json` reads it."""
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
    """Return where a list of names lies: an absolute path, a ``file:///`` or an ``oss://bucket/key`` URL.

    :raises ArgumentError: for anything else, as what a template makes of nothing
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
    """Return object options as JSON takes them, without those that say nothing.

    :raises ArgumentError: for one that OSS would refuse
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
