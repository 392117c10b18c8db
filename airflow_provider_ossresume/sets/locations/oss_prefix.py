"""The objects below a prefix, as the source or the target of a transfer of many files."""

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
from airflow_provider_ossresume.sets.locations.name_lookup import left_out_by_name, look_up_each, vanished_item
from airflow_provider_ossresume.sets.locations.name_rules import KeyNameRules
from airflow_provider_ossresume.sets.locations.source_filter import SourceFilter, is_part_file, refuse_unallowed
from airflow_provider_ossresume.sets.ports import NameRules, ScanItem, Watch
from airflow_provider_ossresume.transfer.crew import Crew

PAGE = 1_000  # objects that OSS lists in one answer
SYMLINK = "Symlink"
NAMES_PER_WATCH = 64  # names between two calls of a watch


class OssPrefix:
    """All objects of a bucket whose keys begin with a prefix. A slash is added to a prefix that does not end with one.

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
        """Return the object of a name below the prefix."""
        return ObjectRef(self.where.bucket, self.where.prefix + name)

    def name_rules(self) -> NameRules:
        """See :class:`~airflow_provider_ossresume.sets.ports.Location`."""
        return KeyNameRules(self.where.prefix)

    def scan(
        self,
        options: SetOptions,
        *,
        is_source: bool,
        watch: Watch,
        names: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        """See :class:`~airflow_provider_ossresume.sets.ports.Location`.

        An empty object whose key is the prefix itself is ignored. Other empty objects whose keys end with a slash
        represent folders; ``empty_folders`` says what to do with them.

        :raises BadAnswer: if OSS lists keys out of order, or keys that are not below the prefix
        """
        work = self._name_below(work_uri)
        found = self._items(options, is_source=is_source, watch=watch, names=names, work=work)
        return refuse_unallowed(found, options, where=self.uri) if is_source else found

    def look_up(
        self,
        names: Iterable[str],
        options: SetOptions,
        *,
        is_source: bool,
        crew: Crew,
        rules: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        """See :class:`~airflow_provider_ossresume.sets.ports.Location`: one HEAD for each name.

        A symbolic link has the size and the ETag of its target.
        """
        work = self._name_below(work_uri)
        client, source_filter = self.client.with_stop(crew), SourceFilter(options, rules)
        source = _SourceObjects(self, options, rules, client, crew)

        def look(name: str) -> ListedObject | None:
            try:
                return _as_listed(self.ref(name).key, client.head_object(self.ref(name)))
            except NoSuchKey:
                return None

        def known(name: str) -> LeftOut | None:
            return left_out_by_name(name, source_filter, self._why_no_key, work=work) if is_source else None

        for name, seen in look_up_each(names, look, crew, known=known):
            if isinstance(seen, LeftOut):
                yield seen
            elif is_source:
                yield (source.found(name, seen) if seen else None) or vanished_item(name)
            elif seen and (in_target := _target_item(name, seen, options)):
                yield in_target

    def _name_below(self, uri: str) -> str:
        """Return the name of a work folder below this prefix, with a slash at its end; empty if it is elsewhere."""
        return folder_prefix(uri.removeprefix(self.uri)) if uri.startswith(self.uri) else ""

    def _why_no_key(self, name: str) -> str:
        try:
            check_key(self.where.prefix + name)
        except ArgumentError as error:
            return error.reason
        return ""

    def _items(
        self, options: SetOptions, *, is_source: bool, watch: Watch, names: NameRules | None, work: str
    ) -> Iterator[ScanItem]:
        with Crew(workers=1, tick=watch) as crew:
            source = _SourceObjects(self, options, names, self.client.with_stop(crew), crew)
            for number, listed in enumerate(self._listed(crew)):
                if not number % NAMES_PER_WATCH:
                    watch()
                name = listed.key[len(self.where.prefix) :]
                if is_own(name) or (work and name.startswith(work)):
                    continue
                found = source.found(name, listed) if is_source else _target_item(name, listed, options)
                if found is not None:
                    yield found

    def _listed(self, crew: Crew) -> Iterator[ListedObject]:
        """Yield the objects. A worker fetches the pages, so that the watch can be called meanwhile."""
        objects = self.client.with_stop(crew).list_objects(self.where.bucket, prefix=self.where.prefix)
        last = b""
        page: list[ListedObject] | None = None
        while page is None or len(page) == PAGE:
            page = crew.call(lambda: list(islice(objects, PAGE)))
            for listed in page:
                key = listed.key.encode()
                is_below = self.where.matches(listed.key)
                if not is_below or key <= last:
                    what = f"after {printable(last)}, which is out of order" if is_below else "which is not below it"
                    raise BadAnswer(
                        f"ListObjectsV2 {self.uri} listed {printable(key)}, {what}; the listing may be incomplete",
                        operation="ListObjectsV2",
                        target=self.uri,
                    )
                last = key
                yield listed


class _SourceObjects:
    """Turns listed objects into items of a source."""

    def __init__(
        self, prefix: OssPrefix, options: SetOptions, names: NameRules | None, client: OssClient, crew: Crew
    ) -> None:
        self._prefix = prefix
        self._options = options
        self._source_filter = SourceFilter(options, names)
        self._client = client
        self._crew = crew
        self._archive_is_readable: bool | None = None  # without a restore, if the bucket allows it; None: not known yet

    def found(self, name: str, listed: ListedObject) -> ScanItem | None:
        if not name:
            return _prefix_object(listed)
        if is_part_file(name):
            return self._source_filter.prefer_filter(LeftOut.of(name, "part_file"))
        entry = _entry(name, listed)
        if listed.kind == SYMLINK:
            link = self._source_filter.prefer_filter(LeftOut.of(name, "symlink", "it is a symbolic link"))
            if link.reason != "symlink" or self._options.symlinks != "follow":
                return link
            entry_behind = self._with_link_target(entry)
            if entry_behind is None:
                return LeftOut.of(name, "symlink", "it is a symbolic link to an object that does not exist")
            entry = entry_behind
        if filtered := self._source_filter.check_filters(entry):
            return filtered
        if listed.is_archived and not self._is_readable(entry, listed):
            state = "its restore has not finished" if listed.restore_info else "restore it first"
            return LeftOut.of(name, "archived", f"its storage class is {listed.storage_class}; {state}")
        return self._source_filter.accept(entry)

    def _with_link_target(self, link: Entry) -> Entry | None:
        """Return the entry with the size and identity of the link's target; None if the target does not exist."""
        try:
            meta = self._crew.call(lambda: self._client.head_object(self._prefix.ref(link.name)))
        except ServiceError as error:
            if error.status != 404:
                raise
            return None
        return replace(link, size=meta.size, identity=object_identity(opaque(meta.etag)))

    def _is_readable(self, entry: Entry, listed: ListedObject) -> bool:
        """Return True if the bucket allows reading Archive objects without a restore. A listing does not show that."""
        if listed.storage_class != "Archive" or listed.restore_info:
            return False
        if self._archive_is_readable is None and entry.size:
            ref = self._prefix.ref(entry.name)
            try:
                self._crew.call(lambda: self._client.check_readable(ref, if_match=listed.etag))
                self._archive_is_readable = True
            except ObjectArchived:
                self._archive_is_readable = False
            except (NoSuchKey, PreconditionFailed):  # deleted or replaced meanwhile; ask with the next object
                return False
        return self._archive_is_readable is True


def _as_listed(key: str, meta: ObjectMeta) -> ListedObject:
    """Return the answer of a HEAD in the form of a listed object."""
    return ListedObject(
        key, meta.size, opaque(meta.etag), meta.last_modified,
        storage_class=meta.headers.get("x-oss-storage-class", ""), kind=meta.headers.get("x-oss-object-type", ""),
        restore_info=meta.headers.get("x-oss-restore", ""),
    )  # fmt: skip


def _target_item(name: str, listed: ListedObject, options: SetOptions) -> ScanItem | None:
    is_ignored = not listed.size and is_folder_marker(name) and options.empty_folders == "ignore"
    return None if not name or is_ignored or is_part_file(name) else _entry(name, listed)


def _prefix_object(listed: ListedObject) -> LeftOut | None:
    """Return an object whose key is the prefix as left out if it has data: it has no name below the prefix."""
    if not listed.size:
        return None
    detail = f"the object {printable(listed.key)} has the prefix as its key, but its size is {format_size(listed.size)}"
    return LeftOut("/", "bad_name", detail, raw=b"")


def _entry(name: str, listed: ListedObject) -> Entry:
    return Entry(
        name, listed.size, object_identity(listed.etag),
        modified=listed.last_modified.timestamp() if listed.last_modified else None,
        kind=listed.kind, storage_class=listed.storage_class,
    )  # fmt: skip
