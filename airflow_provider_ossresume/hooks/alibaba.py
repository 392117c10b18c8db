"""A replacement for the hook of the official Alibaba provider, with the same methods and arguments.

Use it to migrate a task by changing only its import. For new tasks use
:class:`~airflow_provider_ossresume.hooks.oss.OSSResumeHook`, which does more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import BaseHook
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.object_names import parse_oss_url
from airflow_provider_ossresume.model.objects import ObjectMeta

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.client import OssClient
    from airflow_provider_ossresume.oss.credentials import CredentialsProvider


class OSSHook(BaseHook):
    """The methods and arguments of ``airflow.providers.alibaba.cloud.hooks.oss.OSSHook`` 3.5.2.

    Every failure raises an error, even if the official hook only logs it. So a download never returns None, and
    ``object_exists`` is False only for a missing key. The hook looks up the connection at the first call. Each method
    raises the errors of the method of ``OSSResumeHook`` that it calls.

    :param region: overrides the connection's region
    :param oss_conn_id: the Airflow connection
    """

    conn_name_attr = "oss_conn_id"
    default_conn_name = "oss_default"
    conn_type = "oss_resume"
    hook_name = "Alibaba Cloud OSS (resumable)"

    def __init__(self, region: str | None = None, oss_conn_id: str = "oss_default", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.region = region
        self.oss_conn_id = oss_conn_id

    @lazy_property
    def hook(self) -> OSSResumeHook:
        """The hook that does the work."""
        return OSSResumeHook(self.oss_conn_id, region=self.region)

    def get_conn(self) -> Any:
        """Return the Airflow connection."""
        return self.get_connection(self.oss_conn_id)

    @staticmethod
    def parse_oss_url(ossurl: str) -> tuple[str, str]:
        """Return the bucket and the key of ``oss://bucket/key``. The key is not decoded."""
        return parse_oss_url(ossurl)

    def object_exists(self, key: str, bucket_name: str | None = None) -> bool:
        """Return whether an object exists. Only a missing key is False."""
        return self.hook.object_exists(key, bucket_name)

    def key_exist(self, bucket_name: str | None, key: str) -> bool:
        """Return whether an object exists: ``object_exists`` with its arguments in reverse order."""
        return self.hook.object_exists(key, bucket_name)

    def head_key(self, bucket_name: str | None, key: str) -> ObjectMeta:
        """Return an object's headers."""
        return self.hook.head_object(key, bucket_name)

    def read_key(self, bucket_name: str | None, key: str) -> str:
        """Return an object's content, decoded from UTF-8."""
        return self.hook.read_key(key, bucket_name)

    def load_string(self, key: str, content: str, bucket_name: str | None = None) -> None:
        """Write a string to an object in UTF-8. An existing object is overwritten."""
        self.hook.load_string(content, key, bucket_name, replace=True)

    def append_string(self, bucket_name: str | None, content: str, key: str, pos: int) -> None:
        """Append a string to an appendable object in UTF-8, or create the object."""
        self.hook.append_string(content, key, bucket_name, pos)

    def upload_local_file(self, key: str, file: str, bucket_name: str | None = None) -> None:
        """Upload a file. Resumes the upload of an earlier try of this task."""
        self.hook.upload_file(file, key, bucket_name)

    def download_file(self, key: str, local_file: str, bucket_name: str | None = None) -> str:
        """Download an object and return the file's path. Resumes the download of an earlier try of this task."""
        self.hook.download_file(key, local_file, bucket_name)
        return local_file

    def delete_object(self, key: str, bucket_name: str | None = None) -> None:
        """Delete an object. An object that does not exist counts as deleted."""
        self.hook.delete_objects([key], bucket_name)

    def delete_objects(self, key: Sequence[str], bucket_name: str | None = None) -> None:
        """Delete any number of objects. Objects that do not exist count as deleted."""
        self.hook.delete_objects(key, bucket_name)

    def create_bucket(self, bucket_name: str | None = None) -> None:
        """Create a bucket. An existing bucket is not changed."""
        self.hook.create_bucket(bucket_name)

    def delete_bucket(self, bucket_name: str | None = None) -> None:
        """Delete an empty bucket. You must name it: the connection's bucket is never deleted."""
        self.hook.delete_bucket(bucket_name)

    def get_bucket(self, bucket_name: str | None = None) -> OssClient:
        """Return the client. Its methods take the bucket's name, and differ from those of Alibaba's SDK."""
        return self.hook.get_conn()

    def get_credential(self) -> CredentialsProvider:
        """Return the credentials provider of the connection's auth mode."""
        return self.hook.settings.credentials()

    def get_default_region(self) -> str:
        """Return the connection's region.

        :raises ArgumentError: if the connection has no region
        """
        if not (region := self.hook.settings.region):
            raise ArgumentError("region", region, f"set it in the connection {self.oss_conn_id!r}")
        return region
