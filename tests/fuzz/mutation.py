"""The fallback without atheris: random changes to the seeds of a target."""

from __future__ import annotations

import random
import time
import traceback
from dataclasses import dataclass

from tests.fuzz.targets import Target

MAX_CHANGES = 8


@dataclass(frozen=True)
class Report:
    """What a run tried and found.

    :ivar data: the input that broke the promise
    :ivar error: how
    """

    inputs: int
    data: bytes = b""
    error: BaseException | None = None

    def __str__(self) -> str:
        if self.error is None:
            return f"{self.inputs} inputs, the promise held"
        how = "".join(traceback.format_exception(self.error))
        return f"input {self.inputs} broke the promise\n{how}\n{self.data!r}"


def fuzz(target: Target, *, seed: int, seconds: float | None = None, inputs: int | None = None) -> Report:
    """Try inputs until the time is over or so many were tried; the seeds themselves come first."""
    rng = random.Random(seed)
    ends = None if seconds is None else time.monotonic() + seconds
    tried = 0
    while (ends is None or time.monotonic() < ends) and (inputs is None or tried < inputs):
        data = target.seeds[tried] if tried < len(target.seeds) else changed(rng, target)
        tried += 1
        try:
            target.check(data)
        except Exception as error:  # whatever it is, it is the finding
            return Report(tried, data, error)
    return Report(tried)


def changed(rng: random.Random, target: Target) -> bytes:
    """One of the seeds with up to eight changes."""
    data = bytearray(rng.choice(target.seeds))
    for _ in range(rng.randint(1, MAX_CHANGES)):
        start = rng.randint(0, len(data))
        stop = min(len(data), start + rng.choice((0, 1, 1, 2, 4, 16, 64)))
        other = rng.choice(target.seeds)
        at = rng.randint(0, len(other))
        data[start:stop] = rng.choice(
            (
                b"",
                rng.randbytes(stop - start),
                bytes(data[start:stop]) * rng.choice((2, 3, 50)),
                other[at : at + rng.choice((1, 4, 32))],
                rng.choice(target.words or (b"",)),
                rng.choice((b"\0", b"\xff", b"\xc3\xbc", b"0", b"-", b'"', b"<", b"%", b"\n", b"\\")),
            )
        )
    return bytes(data)
