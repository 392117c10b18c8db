"""A folder of many files, the batches of a plan, and what the server has of them."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.manifest import Row
from airflow_provider_ossresume.model.object_names import parse_oss_url
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.packed_rows import unpack_rows
from airflow_provider_ossresume.model.parts import plan_parts
from tests.world import a_client

LARGE = "0/large é.bin"
FOLDER_FILES = 200


@dataclass(frozen=True)
class Load:
    """What is to be moved.

    :ivar files: small ones
    :ivar largest: of these, in bytes; the smallest is empty
    :ivar large: size of the one large file, in bytes; from 64 MiB on it goes part by part
    :ivar batch_files: of one batch, at most
    """

    files: int
    largest: int
    large: int
    batch_files: int


def make_files(folder: Path, load: Load, *, seed: int = 13) -> dict[str, int]:
    """Make them, and return the CRC-64 of each by its name."""
    source = random.Random(seed)
    made = {LARGE: _random_file(folder / LARGE, load.large)}
    for number in range(load.files):
        name = f"{number // FOLDER_FILES:03}/file {number:06}.bin"
        data = source.randbytes(source.randrange(load.largest + 1) if number else 0)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        made[name] = crc64(data)
    return made


def names_of_batch(oss: LocalOSS, uri: str) -> set[str]:
    """Return the names of a batch's files, by its URI on that server."""
    return {Row.of(line).name for line in unpack_rows(oss.object(*parse_oss_url(uri)))}


def crcs_of_objects(oss: LocalOSS, bucket: str, keys: Sequence[str], *, large_key: str) -> dict[str, int | None]:
    """Return the CRC-64 of each object's bytes.

    Of the large one, which is too large to be held, it is the one that the server has made of the bytes that came.
    """
    client = a_client(oss)
    try:
        large = client.head_object(ObjectRef(bucket, large_key)).crc64
    finally:
        client.close()
    return {key: large if key == large_key else crc64(oss.object(bucket, key)) for key in keys}


def _random_file(path: Path, size: int) -> int:
    crc = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for part in plan_parts(size):
            data = os.urandom(part.size)
            crc = crc64(data, crc)
            file.write(data)
    return crc
