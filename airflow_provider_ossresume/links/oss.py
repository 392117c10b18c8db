"""Links from a transfer's task to the OSS console: to its object, and to the bucket's unfinished uploads.

Airflow reads links from XComs, so the task pushes each link as an XCom when its transfer starts. 2.11 calls
``get_link`` when a user opens the task. 3.x calls it in the task's own process, at its end, and pushes the result.

The console's URLs are not documented. Alibaba's own services return URLs of the form
``https://oss.console.aliyun.com/bucket/oss-cn-beijing/BUCKET/object?path=FOLDER``, for example in the field BucketPath
of the Milvus API. There is no known URL for a single object, or for the unfinished uploads: these are in a panel of the
page of objects (https://www.alibabacloud.com/help/en/oss/delete-parts).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow_provider_ossresume._airflow import BaseOperatorLink, conf, get_xcom
from airflow_provider_ossresume.model.objects import ObjectRef

ALIBABA = ".aliyuncs.com"
CONSOLE = "https://oss.console.aliyun.com"


class ConsoleLink(BaseOperatorLink):
    """A page of the OSS console, whose URL the task has pushed as an XCom."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL, or an empty string if there is none.

        After the task has run, the operator has its URLs. Do not read the XCom then: 3.x logs an ERROR if it was never
        pushed.
        """
        if (urls := getattr(operator, "console_urls", None)) is not None:
            return str(urls.get(self.xcom_key, ""))
        names = ("dag_id", "run_id", "task_id", "map_index")
        url = get_xcom(self.xcom_key, {name: getattr(ti_key, name) for name in names})
        return str(url or "")


class OSSObjectLink(ConsoleLink):
    """The object's folder in the console."""

    name = "Object in the OSS console"
    xcom_key = "_link_OSSObjectLink"


class OSSUploadsLink(ConsoleLink):
    """The bucket in the console, with a button that shows the parts of unfinished uploads."""

    name = "Unfinished uploads in the OSS console"
    xcom_key = "_link_OSSUploadsLink"


def console_urls(target: ObjectRef, *, host: str, region: str | None) -> dict[str, str]:
    """Return the URL of each link, by the key of its XCom. Without an endpoint of Alibaba Cloud there are none.

    :param host: the endpoint's host, with or without a port
    """
    if not region or not host.partition(":")[0].endswith(ALIBABA):
        return {}
    console = conf.get("ossresume", "console_url", fallback=CONSOLE).rstrip("/")
    bucket = f"{console}/bucket/oss-{region}/{target.bucket}/object"
    folder = target.key[: target.key.rfind("/") + 1]
    return {
        OSSObjectLink.xcom_key: f"{bucket}?path={quote(folder, safe='')}",
        OSSUploadsLink.xcom_key: bucket,
    }
