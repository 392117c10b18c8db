"""Versions on the local OSS server: whatever is done to them, nothing is lost and nothing is left over."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.local_oss.answers import Refusal
from airflow_provider_ossresume.local_oss.records import ENABLED, NULL_VERSION, SUSPENDED, StoredObject
from airflow_provider_ossresume.local_oss.storage import Storage

KEYS = ("a", "b")
# A version that is deleted is named by its place among those that are there.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(0, 9)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(0)),
        st.tuples(st.just("delete version"), st.sampled_from(KEYS), st.integers(0, 3)),
        st.tuples(st.sampled_from([ENABLED, SUSPENDED]), st.just(""), st.just(0)),
    ),
    max_size=12,
)


class Model:
    """What OSS documents, in a few lines: the versions of a key, the newest first; None is a delete marker."""

    def __init__(self) -> None:
        self.status = ""
        self.versions: dict[str, list[tuple[str, bytes | None]]] = {key: [] for key in KEYS}

    def add(self, key: str, version: str, data: bytes | None) -> None:
        kept = self.versions[key] if self.status else []
        if self.status != ENABLED:
            kept = [one for one in kept if one[0] != NULL_VERSION]
        self.versions[key] = [(version, data), *kept]


def stored(storage: Storage, key: str, data: bytes) -> StoredObject:
    content = storage.contents.receive([memoryview(data)])
    return storage.put("bucket", StoredObject(key, content, content.md5, "Normal", {}, 0.0))


def step(storage: Storage, model: Model, name: str, key: str, number: int) -> None:
    if name == "put":
        data = b"%d" % number
        model.add(key, stored(storage, key, data).version or NULL_VERSION, data)
    elif name == "delete":
        done = storage.delete("bucket", key)
        if model.status:
            assert done
            assert done.is_marker
            model.add(key, done.version, None)
        else:
            model.versions[key] = []
    elif name == "delete version":
        versions = model.versions[key]
        version = versions.pop(number)[0] if number < len(versions) else "F" * 32
        storage.delete("bucket", key, version)
    else:
        model.status = name
        storage.set_versioning("bucket", name)


def check(storage: Storage, model: Model, root: Path) -> None:
    for key, versions in model.versions.items():
        found = storage.versions("bucket", key)
        assert [(one.version or NULL_VERSION, one.is_marker) for one in found] == [
            (version, data is None) for version, data in versions
        ]
        for version, data in versions:
            if data is None:
                with pytest.raises(Refusal, match="marker"):
                    storage.object("bucket", key, version)
            else:
                assert storage.contents.read(storage.object("bucket", key, version).content) == data
    there = {key: versions[0][1] for key, versions in model.versions.items() if versions and versions[0][1] is not None}
    listed = storage.list_objects("bucket")
    assert {one.key: storage.contents.read(one.content) for one in listed} == there
    kept = sum(data is not None for versions in model.versions.values() for _, data in versions)
    assert len(list((root / "data").iterdir())) == kept
    records = sum(map(len, model.versions.values()))
    bucket = root / "buckets" / "bucket"
    assert len(list(bucket.glob("objects/*"))) + len(list(bucket.glob("older/*"))) == records


@settings(deadline=None, max_examples=100)
@given(STEPS)
def test_a_bucket_holds_what_oss_documents_and_so_does_one_that_is_opened_again(
    steps: list[tuple[str, str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, model = Path(folder), Model()
        storage = Storage(root, clock=lambda: 0.0)
        storage.create_bucket("bucket")
        for name, key, number in steps:
            step(storage, model, name, key, number)
            check(storage, model, root)

        check(Storage(root, clock=lambda: 0.0), model, root)
