"""What the server's log says of many files: what each try of a batch sent, and what was sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airflow_provider_ossresume.local_oss import Request
from airflow_provider_ossresume.model.parts import MIB
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.killing import Task, requests_of_try, sent_parts, stored_parts
from tests.end_to_end.losing import Loss
from tests.end_to_end.records import TaskTry


@dataclass(frozen=True)
class BatchTry:
    """One try of a batch, for a table.

    :ivar kept: its files that earlier tries had sent, and this one did not send again
    """

    batch: int
    try_number: int
    files: int
    kept: int
    sent: int
    size: int
    seconds: float
    end: str

    HEADINGS = ("batch", "try", "files", "kept", "sent", "MiB sent", "seconds", "end")

    def cells(self) -> tuple[str, ...]:
        counts = (self.batch, self.try_number, self.files, self.kept, self.sent)
        return (*map(str, counts), f"{self.size / MIB:.1f}", f"{self.seconds:.1f}", self.end)


class Sending:
    """What was sent to a prefix, in small files and in the parts of a large one, all of it in one run."""

    def __init__(self, requests: Sequence[Request], *, prefix: str, large_key: str) -> None:
        self._requests = requests
        self._prefix = prefix
        self._large_key = large_key

    def tries(self, airflow: RealAirflow, batch: Task, batches: Sequence[set[str]], loss: Loss) -> Iterator[BatchTry]:
        """Yield what each try did; `batches` are the names of the files of each."""
        for index, names in enumerate(batches):
            task = batch._replace(map_index=index)
            keys = {f"{self._prefix}{name}" for name in names}
            stored: set[str | None] = set()
            for each in airflow.tries(*task):
                mine = [it for it in requests_of_try(airflow, task, each.try_number, self._requests) if it.key in keys]
                sent = {it.key for it in mine if _stores_a_file(it)}
                kept, stored = stored - sent, stored | sent
                yield BatchTry(
                    batch=index,
                    try_number=each.try_number,
                    files=len(names),
                    kept=len(kept),
                    sent=len(sent),
                    size=sum(it.bytes_received for it in mine if it.operation in ("PutObject", "UploadPart")),
                    seconds=_seconds(each),
                    end="lost" if index in loss.map_indexes and each.state != "success" else str(each.state),
                )

    def checks(
        self, before: Sequence[Request], in_flight: Sequence[Request], *, parts: int, files: int
    ) -> dict[str, bool]:
        """Return what has to be so of a run that lost a worker, and whether it is.

        :param before: what had been answered by then
        :param in_flight: what had come by then, and had no answer yet
        """
        sent = Counter(_small_files(self._requests, self._prefix))
        sent_of_large = Counter(sent_parts(self._requests, self._large_key))
        kept = set(stored_parts(before, self._large_key))
        twice = {key for key, count in sent.items() if count > 1}
        parts_twice = {number for number, count in sent_of_large.items() if count > 1}
        return {
            f"of the large file's {parts} parts the {len(kept)} that OSS had were kept": bool(kept)
            and not kept & parts_twice,
            f"no part was sent twice but what was in flight ({len(parts_twice)})": parts_twice
            <= set(sent_parts(in_flight, self._large_key)),
            f"no small file was sent twice but what was in flight ({len(twice)})": twice
            <= set(_small_files(in_flight, self._prefix)),
            "nothing was sent three times": max([*sent.values(), *sent_of_large.values()]) <= 2,
            "all parts were sent": set(sent_of_large) == set(range(1, parts + 1)),
            f"all {files:,} small files were sent": len(sent) == files,
        }


def _small_files(requests: Sequence[Request], prefix: str) -> list[str]:
    """Return the keys that somebody began to send, repetitions included."""
    return [it.key for it in requests if it.operation == "PutObject" and it.key and it.key.startswith(prefix)]


def _stores_a_file(request: Request) -> bool:
    return request.operation in ("PutObject", "CompleteMultipartUpload") and request.status == 200


def _seconds(each: TaskTry) -> float:
    return (each.ended - each.started).total_seconds() if each.started and each.ended else 0.0
