"""What of an object goes along when OSS copies it, and what is said anew.

A copy has its source's metadata and tags unless they are replaced. Storage class, encryption and ACL are the target
bucket's own, as CopyObject has it, unless they are named or ``"copy"`` is asked for.

One request says so by directives. Parts have none: what is kept is read of the source (HEAD, GetObjectTagging,
GetObjectAcl) and written again when the upload begins, the ACL when it ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast, get_args

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_choice
from airflow_provider_ossresume.model.object_comparison import ACL, TAGGING
from airflow_provider_ossresume.model.object_options import (
    Acl,
    Encryption,
    ObjectOptions,
    SharedOptions,
    StorageClass,
    object_headers,
    request_headers,
    tagging_header,
)
from airflow_provider_ossresume.model.objects import ObjectMeta

Directive = Literal["copy", "replace"]
Kept = Literal["copy"]

STORAGE_CLASS, ENCRYPTION = "x-oss-storage-class", "x-oss-server-side-encryption"
_ENCRYPTION = (ENCRYPTION, f"{ENCRYPTION}-key-id", "x-oss-server-side-data-encryption")
_METADATA_DIRECTIVE, _TAGGING_DIRECTIVE = "x-oss-metadata-directive", "x-oss-tagging-directive"
# OSS, CopyObject: an object's metadata, that which x-oss-metadata-directive is about. x-oss-meta-* too.
_STANDARD = frozenset(
    {"content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires"}
)
_OPTIONS_OF_METADATA = ("metadata", *sorted(name.replace("-", "_") for name in _STANDARD))
_OF_THE_COPY = re.compile(r"x-oss-(?:copy-source.*|(?:metadata|tagging)-directive|callback.*)")


class CopyOptions(SharedOptions, total=False):
    """What a copy says of its object. None, or nothing at all, is the first of what is named.

    ``metadata_directive``
        ``"copy"``: the source's metadata, and its content type, encoding, disposition, language, cache control and
        expiry; ``"replace"``: those of these options alone, as an upload has them
    ``tagging_directive``
        ``"copy"``: the source's tags; ``"replace"``: those of ``tags``, none without them
    ``storage_class``, ``acl``, ``server_side_encryption``
        None: as the target's bucket is configured; ``"copy"``: the source's; or as for an upload
    ``headers``
        further headers; they go along with either directive

    The others are those of :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`.
    """

    metadata_directive: Directive | None
    tagging_directive: Directive | None
    storage_class: StorageClass | Kept | None
    acl: Acl | Kept | None
    server_side_encryption: Encryption | Kept | None


@dataclass(frozen=True)
class Properties:
    """What a copy has beside its bytes, as far as it is known before the source is asked.

    :ivar metadata: the headers that replace the source's metadata; None keeps that
    :ivar tagging: what replaces the source's tags, as ``x-oss-tagging`` says it; None keeps those
    :ivar given: the other headers of the object, storage class, encryption and ACL among them
    :ivar with_requests: what goes with every request: request payer and traffic limit
    :ivar kept: which of ``storage_class``, ``acl`` and ``server_side_encryption`` are the source's
    """

    metadata: Mapping[str, str] | None = None
    tagging: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    with_requests: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    @property
    def keeps_acl(self) -> bool:
        """True when the source is to be asked for its ACL: no request copies that."""
        return "acl" in self.kept

    @property
    def changes_nothing(self) -> bool:
        """True when all is the source's or left to OSS; a copy onto itself would then be none."""
        return self.metadata is None and self.tagging is None and not self.given

    def converts(self, source: ObjectMeta) -> bool:
        """True when the copy gets another storage class or encryption, for which OSS has to write all bytes anew."""
        wanted_class = self.class_and_encryption(source).get(STORAGE_CLASS)
        if wanted_class is not None and wanted_class != source.headers.get(STORAGE_CLASS, "Standard"):
            return True
        # OSS, CopyObject: the source's encryption is not copied.
        return _encryption(source.headers) != _encryption(self.class_and_encryption(source))

    def class_and_encryption(self, source: ObjectMeta) -> dict[str, str]:
        """Return the headers that say them, as far as they are not left to the target's bucket."""
        headers = {name: value for name, value in self.given.items() if name in (STORAGE_CLASS, *_ENCRYPTION)}
        if "storage_class" in self.kept:
            headers[STORAGE_CLASS] = source.headers.get(STORAGE_CLASS, "Standard")
        if "server_side_encryption" in self.kept:
            headers |= _encryption(source.headers)
        return headers

    def onto_itself(self) -> Properties:
        """Return what an object has after a copy onto itself: all that is not replaced stays."""
        given = {"storage_class": STORAGE_CLASS, "acl": ACL, "server_side_encryption": ENCRYPTION}
        return replace(self, kept=frozenset(name for name, header in given.items() if header not in self.given))

    # --- the headers of each request ----------------------------------------------------------------------------------

    def of_one_request(
        self, source: ObjectMeta, *, acl: str | None = None, tags: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the headers of CopyObject.

        :param acl: the source's, where :attr:`keeps_acl`
        :param tags: the source's, for a copy onto itself; there OSS takes what the request says, whatever its
            directive, so that all that is kept is written again
        """
        headers = {**self.given, **self.class_and_encryption(source), **self._acl(acl)}
        if self.metadata is None and tags is None:
            headers[_METADATA_DIRECTIVE] = "COPY"
        else:
            headers |= {_METADATA_DIRECTIVE: "REPLACE", **self._metadata(source)}
        if self.tagging is None and tags is None:
            headers[_TAGGING_DIRECTIVE] = "COPY"
        else:
            headers |= {_TAGGING_DIRECTIVE: "REPLACE", **self._tagging(tags)}
        return headers

    def of_initiate(self, source: ObjectMeta, *, tags: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the headers of InitiateMultipartUpload, or of PutObject beside :meth:`of_complete`.

        :param tags: the source's, where they are kept
        """
        headers = {name: value for name, value in self.given.items() if name != ACL}
        headers |= self.class_and_encryption(source)
        return {**headers, **self._metadata(source), **self._tagging(tags)}

    def of_complete(self, *, acl: str | None = None) -> dict[str, str]:
        """Return the headers of CompleteMultipartUpload.

        :param acl: the source's, where :attr:`keeps_acl`
        """
        return {**{name: value for name, value in self.given.items() if name == ACL}, **self._acl(acl)}

    def _metadata(self, source: ObjectMeta) -> dict[str, str]:
        return metadata_headers(source) if self.metadata is None else dict(self.metadata)

    def _tagging(self, tags: Mapping[str, str] | None) -> dict[str, str]:
        tagging = tagging_header(tags or {}) if self.tagging is None else self.tagging
        return {TAGGING: tagging} if tagging else {}

    def _acl(self, acl: str | None) -> dict[str, str]:
        return {ACL: acl} if self.keeps_acl and acl not in (None, "default") else {}


def copied_properties(key: str, options: CopyOptions) -> Properties:
    """Return what a copy to that key has beside its bytes.

    :raises ArgumentError: for an option that OSS would refuse, that is unknown, or that would be ignored: metadata or
        tags that are given while the source's are kept
    """
    given = {name: value for name, value in options.items() if value not in (None, "")}
    keeps_metadata = _keeps(given, "metadata_directive", _OPTIONS_OF_METADATA)
    keeps_tags = _keeps(given, "tagging_directive", ("tags",))
    _refuse_headers_of_the_copy(given.get("headers"))
    kept = frozenset(name for name in ("storage_class", "acl", "server_side_encryption") if given.get(name) == "copy")
    with_requests = request_headers(
        request_payer=given.pop("request_payer", None), traffic_limit=given.pop("traffic_limit", None)
    )
    headers = _lower(object_headers(key, cast(ObjectOptions, {n: v for n, v in given.items() if n not in kept})))
    metadata = {name: headers.pop(name) for name in list(headers) if _is_metadata(name)}
    tagging = headers.pop(TAGGING, "")
    return Properties(
        metadata=None if keeps_metadata else metadata,
        tagging=None if keeps_tags else tagging,
        given=headers,
        with_requests=with_requests,
        kept=kept,
    )


def replaced_properties(key: str, options: ObjectOptions) -> Properties:
    """Return what a copy to that key has when what is given replaces what the source has, and all else is copied.

    One of its metadata replaces all of them, as OSS has it, and so do tags.

    :raises ArgumentError: for an option that OSS would refuse, or that is unknown
    """
    given = {name for name, value in options.items() if value not in (None, "")}
    directives: CopyOptions = {
        "metadata_directive": "replace" if given.intersection(_OPTIONS_OF_METADATA) else "copy",
        "tagging_directive": "replace" if "tags" in given else "copy",
    }
    return copied_properties(key, cast(CopyOptions, {**options, **directives}))


def metadata_headers(source: ObjectMeta) -> dict[str, str]:
    """Return the headers that give another object the metadata of this one."""
    return {name: value for name, value in source.headers.items() if _is_metadata(name)}


def _keeps(given: dict[str, object], argument: str, options: tuple[str, ...]) -> bool:
    directive = given.pop(argument, "copy")
    check_choice(argument, directive, get_args(Directive))
    if directive == "copy" and (ignored := next((name for name in options if name in given), "")):
        raise ArgumentError(
            ignored, given[ignored], f"the copy keeps the source's value; set {argument}='replace' as well"
        )
    return directive == "copy"


def _refuse_headers_of_the_copy(headers: object) -> None:
    for name in headers if isinstance(headers, Mapping) else ():
        if isinstance(name, str) and (_OF_THE_COPY.fullmatch(name.lower()) or _is_metadata(name.lower())):
            raise ArgumentError(
                "headers", name, "a copy has its own arguments for it, or does not support it; leave it out"
            )


def _is_metadata(name: str) -> bool:
    return name in _STANDARD or name.startswith("x-oss-meta-")


def _encryption(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in _ENCRYPTION if headers.get(name)}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
