"""The options of a copy: what it takes from its source, and what it gets from the arguments.

A copy has its source's metadata and tags, unless you replace them. Storage class, encryption and ACL are the defaults
of the target's bucket, as with CopyObject, unless you set them, or set them to ``"copy"``.

CopyObject has directives for this. A copy in parts has none. So what is kept is read from the source (HEAD,
GetObjectTagging, GetObjectAcl) and set again when the upload starts, the ACL when it is completed.
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
# OSS, CopyObject: the headers that x-oss-metadata-directive applies to, besides x-oss-meta-*.
_STANDARD = frozenset(
    {"content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires"}
)
_OPTIONS_OF_METADATA = ("metadata", *sorted(name.replace("-", "_") for name in _STANDARD))
_OF_THE_COPY = re.compile(r"x-oss-(?:copy-source.*|(?:metadata|tagging)-directive|callback.*)")


class CopyOptions(SharedOptions, total=False):
    """Options of a copied object. For an option that is None or absent, the first choice below is used.

    ``metadata_directive``
        ``"copy"``: the source's metadata, content type, encoding, disposition, language, cache control and expiry;
        ``"replace"``: only those in these options, as for an upload
    ``tagging_directive``
        ``"copy"``: the source's tags; ``"replace"``: those in ``tags``, or no tags
    ``storage_class``, ``acl``, ``server_side_encryption``
        None: the default of the target's bucket; ``"copy"``: the source's; or a value as for an upload
    ``headers``
        other headers; they can be used with either directive

    The other options are those of :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`.
    """

    metadata_directive: Directive | None
    tagging_directive: Directive | None
    storage_class: StorageClass | Kept | None
    acl: Acl | Kept | None
    server_side_encryption: Encryption | Kept | None


@dataclass(frozen=True)
class Properties:
    """The properties of a copy, apart from its bytes, that are known before a request for the source.

    :ivar metadata: the headers that replace the source's metadata; None keeps it
    :ivar tagging: the value of ``x-oss-tagging`` that replaces the source's tags; None keeps them
    :ivar given: the other headers of the object, storage class, encryption and ACL among them
    :ivar with_requests: the headers of every request: request payer and traffic limit
    :ivar kept: those of ``storage_class``, ``acl`` and ``server_side_encryption`` that are copied from the source
    """

    metadata: Mapping[str, str] | None = None
    tagging: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    with_requests: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    @property
    def keeps_acl(self) -> bool:
        """True if the source's ACL has to be read, because no request copies it."""
        return "acl" in self.kept

    @property
    def changes_nothing(self) -> bool:
        """True if nothing is set or replaced. A copy onto itself would then change nothing."""
        return self.metadata is None and self.tagging is None and not self.given

    def converts(self, source: ObjectMeta) -> bool:
        """True if the copy gets another storage class or encryption, so that OSS has to rewrite all bytes."""
        wanted_class = self.class_and_encryption(source).get(STORAGE_CLASS)
        if wanted_class is not None and wanted_class != source.headers.get(STORAGE_CLASS, "Standard"):
            return True
        # OSS, CopyObject: the source's encryption is not copied.
        return _encryption(source.headers) != _encryption(self.class_and_encryption(source))

    def class_and_encryption(self, source: ObjectMeta) -> dict[str, str]:
        """Return the headers for both; none for those that the target's bucket decides."""
        headers = {name: value for name, value in self.given.items() if name in (STORAGE_CLASS, *_ENCRYPTION)}
        if "storage_class" in self.kept:
            headers[STORAGE_CLASS] = source.headers.get(STORAGE_CLASS, "Standard")
        if "server_side_encryption" in self.kept:
            headers |= _encryption(source.headers)
        return headers

    def onto_itself(self) -> Properties:
        """Return the properties for a copy onto itself: everything that is not replaced stays."""
        given = {"storage_class": STORAGE_CLASS, "acl": ACL, "server_side_encryption": ENCRYPTION}
        return replace(self, kept=frozenset(name for name, header in given.items() if header not in self.given))

    # --- the headers of each request ----------------------------------------------------------------------------------

    def of_one_request(
        self, source: ObjectMeta, *, acl: str | None = None, tags: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the headers of CopyObject.

        :param acl: the source's, if :attr:`keeps_acl`
        :param tags: the source's, for a copy onto itself. OSS then ignores the directive and uses the request's values,
            so everything that is kept is set again
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
        """Return the headers of InitiateMultipartUpload, or with those of :meth:`of_complete`, of PutObject.

        :param tags: the source's, if they are kept
        """
        headers = {name: value for name, value in self.given.items() if name != ACL}
        headers |= self.class_and_encryption(source)
        return {**headers, **self._metadata(source), **self._tagging(tags)}

    def of_complete(self, *, acl: str | None = None) -> dict[str, str]:
        """Return the headers of CompleteMultipartUpload.

        :param acl: the source's, if :attr:`keeps_acl`
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
    """Return the properties of a copy to that key.

    :raises ArgumentError: for an option that OSS would refuse, that is unknown, or that would be ignored: metadata or
        tags while the source's are kept
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
    """Return the properties of a copy to that key, whose given options replace the source's; all else is copied.

    One option of the metadata replaces all of the source's metadata, as in OSS. Tags replace all of its tags.

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
