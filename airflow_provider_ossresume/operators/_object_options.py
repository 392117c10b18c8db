"""The base class of the operators that write objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.model.object_options import ObjectOptions
from airflow_provider_ossresume.operators._base import OSSOperator

if TYPE_CHECKING:
    from airflow_provider_ossresume.model.copy_options import Kept
    from airflow_provider_ossresume.model.object_options import Acl, DataEncryption, Encryption, StorageClass

OBJECT_OPTIONS = tuple(ObjectOptions.__annotations__)


# An operator, not a mixin: Airflow applies default_args only to the constructors of operators.
class ObjectOptionsOperator(OSSOperator):
    """An operator with arguments for the objects that it writes, such as metadata and tags."""

    def __init__(
        self,
        *,
        content_type: str | None = None,
        content_encoding: str | None = None,
        content_disposition: str | None = None,
        content_language: str | None = None,
        cache_control: str | None = None,
        expires: datetime | str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: StorageClass | Kept | None = None,
        acl: Acl | Kept | None = None,
        server_side_encryption: Encryption | Kept | None = None,
        sse_kms_key_id: str | None = None,
        sse_data_encryption: DataEncryption | None = None,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.content_type = content_type
        self.content_encoding = content_encoding
        self.content_disposition = content_disposition
        self.content_language = content_language
        self.cache_control = cache_control
        self.expires = expires
        self.metadata = metadata
        self.tags = tags
        self.storage_class = storage_class
        self.acl = acl
        self.server_side_encryption = server_side_encryption
        self.sse_kms_key_id = sse_kms_key_id
        self.sse_data_encryption = sse_data_encryption
        self.headers = headers
