"""The tests of the way to OSS and of local files notice planted defects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.faults import test_file_systems
from tests.faults.mutants import MUTANTS, Mutant
from tests.unit import raw_peer
from tests.world import BUCKET, Transfers

FAILURES = (Exception, pytest.fail.Exception)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_planted_defect_is_noticed(mutant: Mutant, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run(mutant, request, tmp_path / "without")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutant.place, mutant.attribute, mutant.wrong)
        patch.setattr(raw_peer, "PATIENCE", 1.0)  # nobody waits for long
        try:
            run(mutant, request, tmp_path / "with")
        except (AttributeError, NameError, TypeError):  # of the mutant itself
            raise
        except FAILURES:
            return
    pytest.fail(f"a hole: {mutant.test.__name__} passes where {mutant}")


def run(mutant: Mutant, request: pytest.FixtureRequest, folder: Path) -> None:
    """Call the mutant's test, with fixtures that nobody has used."""
    folder.mkdir()
    with ExitStack() as fixtures:
        made: dict[str, Any] = {}

        @cache
        def oss() -> LocalOSS:
            return fixtures.enter_context(LocalOSS(buckets=(BUCKET,)))

        def transfers() -> Transfers:
            ours = Transfers(oss(), checkpoint_interval=0)
            ours.oss.put(BUCKET, "key", test_file_systems.CONTENT)
            return ours

        def caplog() -> pytest.LogCaptureFixture:
            log: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
            log.clear()
            return log

        makers: dict[str, Callable[[], object]] = {
            "caplog": caplog,
            "file": lambda: folder / "file",
            "folder": lambda: folder / "checkpoints",
            "monkeypatch": lambda: fixtures.enter_context(pytest.MonkeyPatch.context()),
            "oss": oss,
            "store": lambda: FileCheckpointStore(folder / "checkpoints"),
            "tmp_path": lambda: folder,
            "transfers": transfers,
        }
        for name in inspect.signature(mutant.test).parameters:
            made[name] = mutant.given[name] if name in mutant.given else makers[name]()
        mutant.test(**made)
