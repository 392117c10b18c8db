"""The objects of a prefix, as one end of a transfer of many files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from airflow_provider_ossresume.errors import (
    ArgumentError,
    BadAnswer,
    NoSuchKey,
    ObjectArchived,
    PreconditionFailed,
    ServiceError,
)
from airflow_provider_ossresume.model.entries import Entry, LeftOut, object_identity, printable
from airflow_provider_ossresume.model.etags import opaque
from airflow_provider_ossresume.model.object_names import check_key
from airflow_provider_ossresume.model.objects import ListedObject, ObjectMeta, ObjectRef, PrefixRef
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.set_names import folder_prefix, is_folder_marker, is_own
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.sets.locations.name_lookup import absent, each_looked_up, not_looked_at
from airflow_provider_ossresume.sets.locations.name_rules import KeyNames
from airflow_provider_ossresume.sets.locations.source_filter import Sieve, is_part_file, refusing
from airflow_provider_ossresume.sets.ports import Found, NameRules, Watch
from airflow_provider_ossresume.transfer.crew import Crew

PAGE = 1_000  # objects that OSS lists in one answer
SYMLINK = "Symlink"
OFTEN = 64  # names between two calls of a watch


class OssPrefix:
    """All objects of a bucket whose keys begin with a prefix, which ends with a slash: it gets one if it has none.

    :ivar where: bucket and prefix
    """

    def __init__(self, client: OssClient, where: PrefixRef) -> None:
        self.client = client
        self.where = PrefixRef(where.bucket, folder_prefix(where.prefix))

    @property
    def uri(self) -> str:
        """``oss://bucket/prefix/``."""
        return str(self.where)

    def ref(self, name: str) -> ObjectRef:
        """Return the object that has a name below the prefix."""
        return ObjectRef(self.where.bucket, self.where.prefix + name)

    def name_rules(self) -> NameRules:
        """See :class:`~airflow_provider_ossresume.sets.ports.End`."""
        return KeyNames(self.where.prefix)

    def scan(
        self,
        options: SetOptions,
        *,
        is_source: bool,
        watch: Watch,
        names: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[Found]:
        """See :class:`~airflow_provider_ossresume.sets.ports.End`.

        An empty object of the prefix's own name is no part of it. Other empty objects whose keys end with a slash stand
        for folders, and count as ``empty_folders`` says.

        :raises BadAnswer: when OSS lists keys that are not in order, or not below the prefix
        """
        work = folder_prefix(work_uri.removeprefix(self.uri)) if work_uri.startswith(self.uri) else ""
        found = self._found(options, is_source=is_source, watch=watch, names=names, work=work)
        return refusing(found, options, where=self.uri) if is_source else found

    def look_up(
        self,
        names: Iterable[str],
        options: SetOptions,
        *,
        is_source: bool,
        crew: Crew,
        rules: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[Found]:
        """See :class:`~airflow_provider_ossresume.sets.ports.End`: one HEAD for each name.

        A symbolic link has the size and the ETag of what it leads to.
        """
        work = folder_prefix(work_uri.removeprefix(self.uri)) if work_uri.startswith(self.uri) else ""
        client, sieve = self.client.with_stop(crew), Sieve(options, rules)
        source = _Source(self, options, rules, client, crew)

        def look(name: str) -> ListedObject | None:
            try:
                return _as_listed(self.ref(name).key, client.head_object(self.ref(name)))
            except NoSuchKey:
                return None

        def known(name: str) -> LeftOut | None:
            return not_looked_at(name, sieve, self._why_no_key, work=work) if is_source else None

        for name, seen in each_looked_up(names, look, crew, known=known):
            if isinstance(seen, LeftOut):
                yield seen
            elif is_source:
                yield (source.found(name, seen) if seen else None) or absent(name)
            elif seen and (in_target := _in_target(name, seen, options)):
                yield in_target

    def _why_no_key(self, name: str) -> str:
        try:
            check_key(self.where.prefix + name)
        except ArgumentError as error:
            return error.reason
        return ""

    def _found(
        self, options: SetOptions, *, is_source: bool, watch: Watch, names: NameRules | None, work: str
    ) -> Iterator[Found]:
        with Crew(workers=1, tick=watch) as crew:
            source = _Source(self, options, names, self.client.with_stop(crew), crew)
            for number, listed in enumerate(self._listed(crew)):
                if not number % OFTEN:
                    watch()
                name = listed.key[len(self.where.prefix) :]
                if is_own(name) or (work and name.startswith(work)):
                    continue
                found = source.found(name, listed) if is_source else _in_target(name, listed, options)
                if found is not None:
                    yield found

    def _listed(self, crew: Crew) -> Iterator[ListedObject]:
        """Yield the objects. Pages are fetched by a worker, so that the watch is called meanwhile."""
        objects = self.client.with_stop(crew).list_objects(self.where.bucket, prefix=self.where.prefix)
        last = b""
        page: list[ListedObject] | None = None
        while page is None or len(page) == PAGE:
            page = crew.call(lambda: list(islice(objects, PAGE)))
            for listed in page:
                key = listed.key.encode()
                if not self.where.matches(listed.key) or key <= last:
                    raise BadAnswer(
                        f"ListObjectsV2 {self.uri} named {printable(key)} behind {printable(last)}: that is not in "
                        "order, so nobody can tell what it has left out",
                        operation="ListObjectsV2", target=self.uri,
                    )  # fmt: skip
                last = key
                yield listed


class _Source:
    """Tells what a listed object is to a transfer that reads it."""

    def __init__(
        self, prefix: OssPrefix, options: SetOptions, names: NameRules | None, client: OssClient, crew: Crew
    ) -> None:
        self._prefix = prefix
        self._options = options
        self._sieve = Sieve(options, names)
        self._client = client
        self._crew = crew
        self._can_read_archive: bool | None = None  # without a restore, as a bucket may allow; not asked yet

    def found(self, name: str, listed: ListedObject) -> Found | None:
        if not name:
            return _of_prefix(listed)
        if is_part_file(name):
            return self._sieve.seen(LeftOut.of(name, "part_file"))
        entry = _entry(name, listed)
        if listed.kind == SYMLINK:
            link = self._sieve.seen(LeftOut.of(name, "symlink", "it is a symbolic link"))
            if link.reason != "symlink" or self._options.symlinks != "follow":
                return link
            entry_behind = self._behind(entry)
            if entry_behind is None:
                return LeftOut.of(name, "symlink", "it is a symbolic link to an object that does not exist")
            entry = entry_behind
        if filtered := self._sieve.filtered(entry):
            return filtered
        if listed.is_archived and not self._can_read(entry, listed):
            state = "is being restored" if listed.restore_info else "has to be restored"
            return LeftOut.of(name, "archived", f"its storage class is {listed.storage_class}; it {state} first")
        return self._sieve.judged(entry)

    def _behind(self, link: Entry) -> Entry | None:
        """Return the entry with size and identity of the object that a link leads to; None when there is none."""
        try:
            meta = self._crew.call(lambda: self._client.head_object(self._prefix.ref(link.name)))
        except ServiceError as error:
            if error.status != 404:
                raise
            return None
        return replace(link, size=meta.size, identity=object_identity(opaque(meta.etag)))

    def _can_read(self, entry: Entry, listed: ListedObject) -> bool:
        """True when the bucket lets objects of the class Archive be read without a restore; no listing tells that."""
        if listed.storage_class != "Archive" or listed.restore_info:
            return False
        if self._can_read_archive is None and entry.size:
            ref = self._prefix.ref(entry.name)
            try:
                self._crew.call(lambda: self._client.check_readable(ref, if_match=listed.etag))
                self._can_read_archive = True
            except ObjectArchived:
                self._can_read_archive = False
            except (NoSuchKey, PreconditionFailed):  # it was deleted or replaced; the next one tells
                return False
        return self._can_read_archive is True


def _as_listed(key: str, meta: ObjectMeta) -> ListedObject:
    """Return what a HEAD says of an object as a listing says it."""
    return ListedObject(
        key, meta.size, opaque(meta.etag), meta.last_modified,
        storage_class=meta.headers.get("x-oss-storage-class", ""), kind=meta.headers.get("x-oss-object-type", ""),
        restore_info=meta.headers.get("x-oss-restore", ""),
    )  # fmt: skip


def _in_target(name: str, listed: ListedObject, options: SetOptions) -> Found | None:
    is_ignored = not listed.size and is_folder_marker(name) and options.empty_folders == "ignore"
    return None if not name or is_ignored or is_part_file(name) else _entry(name, listed)


def _of_prefix(listed: ListedObject) -> LeftOut | None:
    """Return the object of the prefix's own name as left out, if it has bytes; it can have no name below the prefix."""
    if not listed.size:
        return None
    detail = f"the object {printable(listed.key)} itself has {format_size(listed.size)}"
    return LeftOut("/", "bad_name", detail, raw=b"")


def _entry(name: str, listed: ListedObject) -> Entry:
    return Entry(
        name, listed.size, object_identity(listed.etag),
        modified=listed.last_modified.timestamp() if listed.last_modified else None,
        kind=listed.kind, storage_class=listed.storage_class,
    )  # fmt: skip
