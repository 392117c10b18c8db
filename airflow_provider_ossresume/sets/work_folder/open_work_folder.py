"""Opens a work folder by its URL or path."""

from __future__ import annotations

import os

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.object_names import check_bucket, check_key, parse_oss_url
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.sets.ports import WorkFolder
from airflow_provider_ossresume.sets.work_folder.local_work_folder import LocalWorkFolder
from airflow_provider_ossresume.sets.work_folder.oss_work_folder import OssWorkFolder, WorkClient
from airflow_provider_ossresume.transfer.paths import local_path, path_of_uri


def open_work_folder(where: str | os.PathLike[str], client: WorkClient | None = None) -> WorkFolder:
    """Return the work folder at an ``oss://bucket/prefix/`` URL, a ``file:///…`` URL or a path.

    :param client: needed for a work folder on OSS
    :raises ArgumentError: if the name is not valid, or the folder is on OSS and there is no client
    """
    text = where if isinstance(where, str) else local_path(where, argument="work_folder")
    if not text.startswith("oss://"):
        if text.startswith("file:///"):
            text = path_of_uri(text)
        if not os.path.isabs(os.path.expanduser(text)):
            raise ArgumentError(
                "work_folder", text, "give an oss://bucket/prefix/ URL, or an absolute path that all workers share"
            )
        return LocalWorkFolder(text)
    if client is None:
        raise ArgumentError(
            "work_folder", text, "the work folder is on OSS, but no client was given; pass a client or a local path"
        )
    bucket, prefix = parse_oss_url(text, argument="work_folder")
    if not prefix.strip("/"):
        raise ArgumentError("work_folder", text, "name a prefix in the bucket, such as oss://bucket/.ossresume/")
    check_key(prefix, argument="work_folder")
    return OssWorkFolder(client, PrefixRef(check_bucket(bucket, argument="work_folder"), prefix))
