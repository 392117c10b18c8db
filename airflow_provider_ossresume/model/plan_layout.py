"""Where the files of a plan are in a work folder. All other modules use these functions for their names.

::

    plans/<plan ID>/plan.json                        written last; without it the plan does not exist
    plans/<plan ID>/batches/00017-3f9c2b7a.jsonl.gz  the name has the beginning of the SHA-256 of the bytes
    plans/<plan ID>/deletes-3f9c2b7a.jsonl.gz        what a mirror deletes
    plans/<plan ID>/left_out.jsonl.gz                files that are in no batch, and why
    plans/<plan ID>/ledger/00017/0001-…-00000.jsonl.gz   by the number of the try
    plans/<plan ID>/failed.jsonl.gz, verdict.json    the result of the finish
    last/<40 hex>.json                               the last plan of a source and a target
    facts/<40 hex>.json, facts/<40 hex>/…            what has been proven of them
    checkpoints/<40 hex>.json                        of large files that are being moved
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

from airflow_provider_ossresume.errors import ArgumentError, ManifestUnreadable

PLANS = "plans/"
LAST = "last/"
CHECKPOINTS = "checkpoints/"

_PLAN_ID = r"\d{8}T\d{6}Z-[0-9a-f]{8}"
_PLAN = re.compile(rf"(?P<work>.+/)plans/(?P<id>{_PLAN_ID})/(?:batches/(?P<batch>\d{{5}}-[0-9a-f]{{8}}\.jsonl\.gz))?")


def plan_id(*, now: datetime, random: bytes) -> str:
    """Return the ID of a new plan.

    :param now: in UTC
    :param random: four bytes, so that two plans of one second differ; OSS does not always refuse to overwrite a plan
    """
    return f"{now:%Y%m%dT%H%M%SZ}-{random.hex()}"


def plan_folder(plan_id: str) -> str:
    return f"{PLANS}{plan_id}/"


def planned_at(folder: str) -> datetime | None:
    """Return when the plan was made whose folder this is, by its ID; None for another folder."""
    match = re.fullmatch(rf"{PLANS}({_PLAN_ID})/", folder)
    try:
        return datetime.strptime(f"{match[1][:16]}+0000", "%Y%m%dT%H%M%SZ%z") if match else None
    except ValueError:
        return None


def header_name(plan_id: str) -> str:
    return f"{plan_folder(plan_id)}plan.json"


def batch_name(number: int, data: bytes) -> str:
    """Return the name of a batch's file within ``batches/``."""
    return f"{number:05}-{digest(data)}.jsonl.gz"


def deletes_name(data: bytes) -> str:
    """Return the name of the list of deletions within the plan's folder."""
    return f"deletes-{digest(data)}.jsonl.gz"


def check_digest(name: str, data: bytes) -> None:
    """:raises ManifestUnreadable: if the bytes are not those that the name was made from"""
    if f"-{digest(data)}." not in name:
        raise ManifestUnreadable(f"{name} has changed since the plan was made; make a new plan")


def digest(data: bytes) -> str:
    """Return the beginning of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:8]


def left_out_name(plan_id: str) -> str:
    return f"{plan_folder(plan_id)}left_out.jsonl.gz"


def failed_name(plan_id: str) -> str:
    return f"{plan_folder(plan_id)}failed.jsonl.gz"


def verdict_name(plan_id: str) -> str:
    return f"{plan_folder(plan_id)}verdict.json"


def ledger_folder(plan_id: str, batch: int) -> str:
    return f"{plan_folder(plan_id)}ledger/{batch:05}/"


def pair_key(source: str, target: str) -> str:
    """Return 40 hexadecimal digits that stand for a source and a target, by their URIs."""
    return hashlib.sha256(f"{source}\n{target}".encode("utf-8", "surrogateescape")).hexdigest()[:40]


def last_name(pair: str) -> str:
    return f"{LAST}{pair}.json"


def pair_of(name: str) -> str | None:
    """Return the pair whose last plan a file names; None for another file."""
    match = re.fullmatch(rf"{LAST}([0-9a-f]{{40}})\.json", name)
    return match[1] if match else None


def facts_name(pair: str) -> str:
    return f"facts/{pair}.json"


def facts_folder(pair: str) -> str:
    return f"facts/{pair}/"


def checkpoint_name(key: str) -> str:
    """Return the name of the checkpoint of a large file.

    :param key: 40 hexadecimal digits
    """
    return f"{CHECKPOINTS}{key}.json"


def checkpoint_of(name: str) -> str | None:
    """Return the key of the checkpoint that a file is; None for another file."""
    match = re.fullmatch(rf"{CHECKPOINTS}([0-9a-f]{{40}})\.json", name)
    return match[1] if match else None


def plan_uri(work: str, plan_id: str) -> str:
    return work + plan_folder(plan_id)


def batch_uri(work: str, plan_id: str, name: str) -> str:
    """Return the URI of a batch, for a mapped task. It adds at most 130 bytes to the work folder's URI."""
    return f"{plan_uri(work, plan_id)}batches/{name}"


def split_plan_uri(uri: str) -> tuple[str, str]:
    """Return the work folder's URI and the plan's ID.

    :raises ArgumentError: if it is not the URI of a plan
    """
    match = _PLAN.fullmatch(uri if uri.endswith("/") else f"{uri}/")
    if match is None or match["batch"]:
        raise ArgumentError("plan", uri, "give the URI that the plan's task returned, …/plans/<plan ID>/")
    return match["work"], match["id"]


def split_batch_uri(uri: str) -> tuple[str, str, str]:
    """Return the work folder's URI, the plan's ID and the name of the batch's file.

    :raises ArgumentError: if it is not the URI of a batch
    """
    match = _PLAN.fullmatch(uri)
    if match is None or not match["batch"]:
        raise ArgumentError(
            "batch", uri, "give one of the URIs that the plan's task returned, …/plans/<plan ID>/batches/<name>"
        )
    return match["work"], match["id"], match["batch"]
