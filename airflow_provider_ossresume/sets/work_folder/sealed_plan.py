"""A sealed plan, as it is read from its work folder. Nothing in it is ever written again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError, ManifestUnreadable
from airflow_provider_ossresume.model.entries import printable
from airflow_provider_ossresume.model.manifest import BatchHeader, PlanHeader, Row, Victim
from airflow_provider_ossresume.model.packed_rows import unpack_rows
from airflow_provider_ossresume.model.plan_layout import (
    batch_uri,
    check_digest,
    header_name,
    plan_folder,
    split_batch_uri,
    verdict_name,
)
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.sets.ports import WorkFolder


@dataclass(frozen=True)
class Plan:
    """What has to be done, and where the rest of it lies.

    :ivar uri: of its folder within the work folder
    :ivar samples: the first hundred names that are to be moved (``put``) and deleted (``delete``); only what
        :func:`~airflow_provider_ossresume.sets.plan.make_plan.make_plan` has made has them
    """

    uri: str
    header: PlanHeader
    samples: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False)

    @property
    def batch_uris(self) -> list[str]:
        """What each mapped task gets; nothing for a dry run."""
        if self.header.is_dry_run:
            return []
        work = self.uri.removesuffix(plan_folder(self.header.plan_id))
        return [batch_uri(work, self.header.plan_id, batch.name) for batch in self.header.batches]

    def report(self) -> dict[str, Any]:
        """Return what was found and what is to be done, as JSON takes it."""
        header = self.header
        return {
            "plan_id": header.plan_id,
            "source": header.source,
            "target": header.target,
            "mode": header.mode,
            "compare": header.compare,
            "dry_run": header.is_dry_run,
            "batches": len(header.batches),
            "bytes": sum(batch.size for batch in header.batches),
            **{name: int(count) for name, count in {**header.found, **header.actions}.items()},
            "left_out": dict(header.left_out),
            "first_names": self.first_names(),
        }

    def first_names(self) -> dict[str, list[str]]:
        """Return the samples for people."""
        return {action: [printable(name) for name in names] for action, names in self.samples.items()}

    def batch(self, uri: str) -> BatchHeader:
        """Return the batch that a task got.

        :raises ArgumentError: when it is none of this plan's
        """
        _, plan_id, name = split_batch_uri(uri)
        for batch in self.header.batches:
            if (plan_id, name) == (self.header.plan_id, batch.name):
                return batch
        raise ArgumentError("batch", uri, f"the plan {self.header.plan_id} has no such batch")


def read_plan(work: WorkFolder, plan_id: str) -> Plan:
    """Return a sealed plan.

    :raises ManifestUnreadable: when there is none, or it was not sealed, or this version cannot read it
    """
    name = header_name(plan_id)
    data = work.read(name)
    if data is None:
        raise ManifestUnreadable(f"there is no {work.uri}{name}: the plan was never finished, or it has been removed")
    try:
        header = PlanHeader.of(data.decode())
    except (ManifestUnreadable, UnicodeDecodeError) as error:
        raise ManifestUnreadable(f"{work.uri}{name}: {error}") from error
    return Plan(work.uri + plan_folder(plan_id), header)


def read_batch(work: WorkFolder, uri: str) -> list[Row]:
    """Return the rows of a batch.

    :param uri: as :attr:`Plan.batch_uris` has it
    :raises ManifestUnreadable: when its file is gone, or is not the one that the plan was sealed with
    """
    _, plan_id, name = split_batch_uri(uri)
    return rows_of(work, plan_id, name)


def rows_of(work: WorkFolder, plan_id: str, name: str) -> list[Row]:
    """The same, by the plan and the name of the batch's file."""
    return [Row.of(line) for line in _lines(work, f"{plan_folder(plan_id)}batches/{name}")]


def victims_of(work: WorkFolder, header: PlanHeader) -> Iterator[Victim]:
    """Yield what a mirror deletes; errors as in :func:`read_batch`, all of them before the first one is yielded."""
    if not header.deletes:
        return iter(())
    return map(Victim.of, _lines(work, f"{plan_folder(header.plan_id)}{header.deletes}"))


def read_verdict(work: WorkFolder, plan_id: str) -> Verdict | None:
    """Return what the last finish has said of a plan; None when there was none.

    :raises ManifestUnreadable: when this version cannot read it
    """
    name = verdict_name(plan_id)
    data = work.read(name)
    if data is None:
        return None
    try:
        return Verdict.of(data.decode())
    except (ManifestUnreadable, UnicodeDecodeError) as error:
        raise ManifestUnreadable(f"{work.uri}{name}: {error}") from error


def _lines(work: WorkFolder, name: str) -> Iterator[str]:
    data = work.read(name)
    if data is None:
        raise ManifestUnreadable(f"{work.uri}{name} is gone; make a new plan")
    try:
        check_digest(name, data)
    except ManifestUnreadable as error:
        raise ManifestUnreadable(f"{work.uri}{error}") from error
    return unpack_rows(data)
