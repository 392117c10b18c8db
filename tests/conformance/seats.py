"""Who judges: three SDKs with two signature versions each, and which of them a test can be put to."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from .judge import Access, Judge
from .judge_ali_oss import AliOss, AliOssProcess
from .judge_oss2 import Oss2
from .judge_oss_v2 import OssV2

BUCKET = "conformance"


@dataclass(frozen=True)
class Seat:
    """A judge that has not met its server yet."""

    sdk: type[Oss2] | type[OssV2] | type[AliOss]
    signature: str

    def __str__(self) -> str:
        return f"{self.sdk.name}-{self.signature}"

    def can(self, request: str) -> bool:
        """Tell whether the SDK can express this request, with this signature version."""
        return not {request, f"{request} with {self.signature}"} & self.sdk.cannot.keys()

    @property
    def needs_node(self) -> bool:
        return self.sdk is AliOss

    def judge(self, access: Access, *, process: AliOssProcess | None) -> Judge:
        if self.sdk is AliOss:
            assert process
            return AliOss(access, signature=self.signature, process=process)
        return self.sdk(access, signature=self.signature)


SEATS = [Seat(sdk, signature) for sdk in (Oss2, OssV2, AliOss) for signature in ("v4", "v1")]


def seats_that_can(*requests: str) -> list[Seat]:
    """Return the seats whose SDK can express all of these requests; ``cannot`` of an adapter says why one cannot."""
    return [seat for seat in SEATS if all(seat.can(request) for request in requests)]


def judges_that_can(*requests: str) -> pytest.MarkDecorator:
    """Make the test for those judges only."""
    return pytest.mark.parametrize("judge", seats_that_can(*requests), indirect=True, ids=str)
