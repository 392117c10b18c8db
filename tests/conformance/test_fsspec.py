"""fsspec's own tests of a filesystem, against the local OSS server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fsspec.tests import abstract

from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.world import BUCKET


@pytest.fixture(scope="module")
def server() -> Iterator[LocalOSS]:
    with LocalOSS(buckets=(BUCKET,)) as server:
        yield server


class OssFixtures(abstract.AbstractFixtures):  # type: ignore[misc]  # fsspec has no types
    @pytest.fixture
    def fs(self, server: LocalOSS) -> OSSFileSystem:
        return OSSFileSystem(
            endpoint=server.endpoint,
            region=server.region,
            access_key_id=server.access_key_id,
            access_key_secret=server.access_key_secret,
        )

    @pytest.fixture
    def fs_path(self) -> str:
        return BUCKET

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(OssFixtures, abstract.AbstractCopyTests):  # type: ignore[misc]
    pass


class TestGet(OssFixtures, abstract.AbstractGetTests):  # type: ignore[misc]
    pass


class TestPut(OssFixtures, abstract.AbstractPutTests):  # type: ignore[misc]
    pass


class TestOpen(OssFixtures, abstract.AbstractOpenTests):  # type: ignore[misc]
    pass


class TestPipe(OssFixtures, abstract.AbstractPipeTests):  # type: ignore[misc]
    pass
