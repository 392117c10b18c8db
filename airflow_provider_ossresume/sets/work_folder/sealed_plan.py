"""Reads a sealed plan from its work folder. A sealed plan never changes."""

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
    """A plan: its header, and where its other files are.

    :ivar uri: of its folder within the work folder
    :ivar samples: the first hundred names to move (``put``) and to delete (``delete``); only a plan that was just made
        by :func:`~airflow_provider_ossresume.sets.plan.make_plan.make_plan` has them
    """

    uri: str
    header: PlanHeader
    samples: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False)

    @property
    def batch_uris(self) -> list[str]:
        """One URI for each mapped task; empty for a dry run."""
        if self.header.is_dry_run:
            return []
        work = self.uri.removesuffix(plan_folder(self.header.plan_id))
        return [batch_uri(work, self.header.plan_id, batch.name) for batch in self.header.batches]

    def report(self) -> dict[str, Any]:
        """Return what was found and what will be done, as values that JSON can hold."""
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
        """Return the samples as printable names."""
        return {action: [printable(name) for name in names] for action, names in self.samples.items()}

    def batch(self, uri: str) -> BatchHeader:
        """Return the batch of a URI.

        :raises ArgumentError: if it is not a batch of this plan
        """
        _, plan_id, name = split_batch_uri(uri)
        for batch in self.header.batches:
            if (plan_id, name) == (self.header.plan_id, batch.name):
                return batch
        raise ArgumentError(
            "batch", uri, f"plan {self.header.plan_id} has no such batch; pass a URI that the plan returned"
        )


def read_plan(work: WorkFolder, plan_id: str) -> Plan:
    """Return a sealed plan.

    :raises ManifestUnreadable: if it does not exist, was not sealed, or this version cannot read it
    """
    name = header_name(plan_id)
    data = work.read(name)
    if data is None:
        raise ManifestUnreadable(
            f"{work.uri}{name} does not exist: the plan was not completed, or it was removed; make a new plan"
        )
    try:
        header = PlanHeader.of(data.decode())
    except (ManifestUnreadable, UnicodeDecodeError) as error:
        raise ManifestUnreadable(f"{work.uri}{name}: {error}") from error
    return Plan(work.uri + plan_folder(plan_id), header)


def read_batch(work: WorkFolder, uri: str) -> list[Row]:
    """Return the rows of a batch.

    :param uri: one of :attr:`Plan.batch_uris`
    :raises ManifestUnreadable: if its file is gone, or differs from the one that was sealed
    """
    _, plan_id, name = split_batch_uri(uri)
    return rows_of(work, plan_id, name)


def rows_of(work: WorkFolder, plan_id: str, name: str) -> list[Row]:
    """Return the rows of a batch, by its plan and the name of its file."""
    return [Row.of(line) for line in _lines(work, f"{plan_folder(plan_id)}batches/{name}")]


def victims_of(work: WorkFolder, header: PlanHeader) -> Iterator[Victim]:
    """Yield the files that a mirror deletes. All errors, as for :func:`read_batch`, come before the first file."""
    if not header.deletes:
        return iter(())
    return map(Victim.of, _lines(work, f"{plan_folder(header.plan_id)}{header.deletes}"))


def read_verdict(work: WorkFolder, plan_id: str) -> Verdict | None:
    """Return the verdict of the last finish of a plan; None if there is none.

    :raises ManifestUnreadable: if this version cannot read it
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
        raise ManifestUnreadable(f"{work.uri}{name} no longer exists; make a new plan")
    try:
        check_digest(name, data)
    except ManifestUnreadable as error:
        raise ManifestUnreadable(f"{work.uri}{error}") from error
    return unpack_rows(data)
