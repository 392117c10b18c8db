"""The hook of the official Alibaba provider, by its names and with its arguments, on this provider's hook.

For tasks that are moved over without a change but their import. New ones take
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
    """What ``airflow.providers.alibaba.cloud.hooks.oss.OSSHook`` 3.5.2 offers, argument by argument.

    What fails raises, also where that one logs it and goes on: a download returns no None, and only a missing key is
    False. Nothing is looked up before the first call. Errors are those of the method that does the work.

    :param region: takes the place of the connection's
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
        """Return the bucket and key of ``oss://bucket/key``; the key is taken as it stands."""
        return parse_oss_url(ossurl)

    def object_exists(self, key: str, bucket_name: str | None = None) -> bool:
        """Tell whether an object exists; only a missing key is False."""
        return self.hook.object_exists(key, bucket_name)

    def key_exist(self, bucket_name: str | None, key: str) -> bool:
        """The same, with the arguments the other way round."""
        return self.hook.object_exists(key, bucket_name)

    def head_key(self, bucket_name: str | None, key: str) -> ObjectMeta:
        """Return what OSS says of an object."""
        return self.hook.head_object(key, bucket_name)

    def read_key(self, bucket_name: str | None, key: str) -> str:
        """Return an object as a text in UTF-8."""
        return self.hook.read_key(key, bucket_name)

    def load_string(self, key: str, content: str, bucket_name: str | None = None) -> None:
        """Write a text in UTF-8 to an object, which may exist."""
        self.hook.load_string(content, key, bucket_name, replace=True)

    def append_string(self, bucket_name: str | None, content: str, key: str, pos: int) -> None:
        """Append a text in UTF-8 to an appendable object, or create one."""
        self.hook.append_string(content, key, bucket_name, pos)

    def upload_local_file(self, key: str, file: str, bucket_name: str | None = None) -> None:
        """Upload a file, going on from what an earlier try of this task has sent."""
        self.hook.upload_file(file, key, bucket_name)

    def download_file(self, key: str, local_file: str, bucket_name: str | None = None) -> str:
        """Download an object, going on from what an earlier try has fetched, and return the file's name."""
        self.hook.download_file(key, local_file, bucket_name)
        return local_file

    def delete_object(self, key: str, bucket_name: str | None = None) -> None:
        """Delete an object; one that does not exist counts as deleted."""
        self.hook.delete_objects([key], bucket_name)

    def delete_objects(self, key: Sequence[str], bucket_name: str | None = None) -> None:
        """Delete objects, any number of them."""
        self.hook.delete_objects(key, bucket_name)

    def create_bucket(self, bucket_name: str | None = None) -> None:
        """Make a bucket; one that is there stays as it is."""
        self.hook.create_bucket(bucket_name)

    def delete_bucket(self, bucket_name: str | None = None) -> None:
        """Remove an empty bucket. It has to be named: the connection's bucket is not taken."""
        self.hook.delete_bucket(bucket_name)

    def get_bucket(self, bucket_name: str | None = None) -> OssClient:
        """Return the client; its methods take the bucket, and are not those of Alibaba's SDK."""
        return self.hook.get_conn()

    def get_credential(self) -> CredentialsProvider:
        """Return where the Access Key comes from, in any auth mode of the connection."""
        return self.hook.settings.credentials()

    def get_default_region(self) -> str:
        """Return the connection's region.

        :raises ArgumentError: when it has none
        """
        if not (region := self.hook.settings.region):
            raise ArgumentError("region", region, f"set it in the connection {self.oss_conn_id!r}")
        return region
