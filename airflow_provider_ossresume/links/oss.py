"""Links from a transfer's task to the OSS console: its object, and the bucket's unfinished uploads.

A task pushes each link as an XCom when its transfer begins, since Airflow shows links from XComs. 2.11 calls
``get_link`` when somebody looks; 3.x calls it in the task's own process, at its end, and pushes what it answers.

The console's addresses are not documented. Alibaba's own services hand out links of the form
``https://oss.console.aliyun.com/bucket/oss-cn-beijing/BUCKET/object?path=FOLDER``, such as the field BucketPath of the
API of Milvus. No address of a single object's details is known, nor one of the unfinished uploads: these are a panel of
the page of objects, behind its button for parts (https://www.alibabacloud.com/help/en/oss/delete-parts).
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
        """Return the URL, empty where there is none.

        An operator that has run knows its URLs. 3.x would log an ERROR for an XCom that was never pushed.
        """
        if (urls := getattr(operator, "console_urls", None)) is not None:
            return str(urls.get(self.xcom_key, ""))
        names = ("dag_id", "run_id", "task_id", "map_index")
        url = get_xcom(self.xcom_key, {name: getattr(ti_key, name) for name in names})
        return str(url or "")


class OSSObjectLink(ConsoleLink):
    """The object's folder."""

    name = "Object in the OSS console"
    xcom_key = "_link_OSSObjectLink"


class OSSUploadsLink(ConsoleLink):
    """The bucket's objects, from where a button leads to the parts of its unfinished uploads."""

    name = "Unfinished uploads in the OSS console"
    xcom_key = "_link_OSSUploadsLink"


def console_urls(target: ObjectRef, *, host: str, region: str | None) -> dict[str, str]:
    """Return the URL behind each link, by the key of its XCom; none for a server that is not Alibaba's.

    :param host: of the endpoint, with or without a port
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
