"""Signatures of OSS requests, V4 and V1, for headers and URLs. Pure functions: no clock, no socket.

The strings to sign follow OSS's documents "Include a V4 signature in the Authorization header", "Include
signatures in the Authorization header" (V1) and their URL forms; ``tests/unit/sign_vectors.json`` has a hundred
requests that the official SDKs have signed. The local OSS server verifies with the same functions.

A key is signed as it is (V1), or percent-encoded except its slashes (V4), and always with the bucket before it, even if
the URL does not have it there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote

V4_ALGORITHM = "OSS4-HMAC-SHA256"
V4_UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"  # the only value that the SDKs use: TLS and the CRC-64 protect the body
V4_REQUEST = "aliyun_v4_request"

# V1 signs only these query parameters (oss2's list, the longest of the SDKs').
V1_SUBRESOURCES = frozenset(
    """accessPoint accessPointPolicy acl append asyncFetch bucketArchiveDirectRead bucketInfo bucketStyle
    callback callback-var cname comp continuation-token cors delete encryption endTime httpsConfig img inventory
    inventoryId lifecycle link live location logging mime objectInfo objectMeta partNumber policy policyStatus
    position publicAccessBlock qos qosInfo qosRequester redundancyTransition referer regionList replication
    replicationLocation replicationProgress requestPayment requesterQosInfo resourceGroup resourcePool
    resourcePoolBuckets resourcePoolInfo response-cache-control response-content-disposition
    response-content-encoding response-content-language response-content-type response-expires restore
    security-token sequential startTime stat status style styleName symlink tagging transferAcceleration udf
    udfApplication udfApplicationLog udfImage udfImageDesc udfName uploadId uploads versionId versioning versions
    vod website worm wormExtend wormId x-oss-ac-forward-allow x-oss-ac-source-ip x-oss-ac-subnet-mask
    x-oss-ac-vpc-id x-oss-access-point-name x-oss-async-process x-oss-process x-oss-redundancy-transition-taskid
    x-oss-request-payer x-oss-target-redundancy-type x-oss-traffic-limit x-oss-write-get-object-response""".split()  # noqa: SIM905 - a hundred quotes more would not read better
)


@dataclass(frozen=True)
class Signable:
    """The parts of a request that are signed.

    ``query`` has decoded names and values; a name without a value has an empty one. ``headers`` may be in any case.
    ``bucket`` or ``key`` is None if the request has none.
    """

    method: str
    bucket: str | None
    key: str | None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def resource(self) -> str:
        """``/bucket/key``, ``/bucket/`` or ``/``."""
        if self.bucket is None:
            return "/"
        return f"/{self.bucket}/{self.key or ''}"


# --- V4 ---------------------------------------------------------------------------------------------------------------


def v4_scope(date: str, *, region: str, product: str = "oss") -> str:
    """Return the scope ``YYYYMMDD/region/product/aliyun_v4_request``; a cloud box has the product ``oss-cloudbox``."""
    return f"{date}/{region}/{product}/{V4_REQUEST}"


def v4_canonical_request(request: Signable, *, additional_headers: Iterable[str] = ()) -> str:
    """Return the canonical request.

    It contains every ``x-oss-*`` header, Content-Type, Content-MD5, and those additional headers that the request has.
    """
    headers = _lower(request.headers)
    additional = sorted({name.lower() for name in additional_headers} & headers.keys())
    additional = [name for name in additional if not _is_v4_default(name)]
    signed = sorted(name for name in headers if _is_v4_default(name) or name in additional)
    pairs = sorted((_encode(name), _encode(value)) for name, value in request.query.items())
    return "\n".join(
        (
            request.method,
            quote(request.resource, safe="/~"),
            "&".join(f"{name}={value}" if value else name for name, value in pairs),
            "".join(f"{name}:{headers[name]}\n" for name in signed),
            ";".join(additional),
            V4_UNSIGNED_PAYLOAD,
        )
    )


def v4_string_to_sign(canonical_request: str, *, timestamp: str, scope: str) -> str:
    """Return the string to sign; ``timestamp`` is x-oss-date, or the raw Date header of a request without one."""
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    return f"{V4_ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


def v4_signature(string_to_sign: str, *, secret: str, scope: str) -> str:
    """Return the signature as lower-case hex."""
    return hmac.new(_v4_key(secret, scope), string_to_sign.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=8)  # the key changes once a day
def _v4_key(secret: str, scope: str) -> bytes:
    key = b"aliyun_v4" + secret.encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key


def _is_v4_default(name: str) -> bool:
    return name.startswith("x-oss-") or name in ("content-type", "content-md5")


# --- V1 ---------------------------------------------------------------------------------------------------------------


def v1_string_to_sign(request: Signable, *, date: str) -> str:
    """Return the string to sign; ``date`` is the Date header, or the expiry in Unix seconds of a presigned URL.

    A request that carries ``x-oss-date`` is signed with that as its date, as OSS does.
    """
    headers = _lower(request.headers)
    oss_headers = sorted(name for name in headers if name.startswith("x-oss-"))
    signed = sorted(
        (name, value) for name, value in request.query.items() if name in V1_SUBRESOURCES or name.startswith("x-oss-")
    )
    resource = request.resource
    if signed:
        resource += "?" + "&".join(f"{name}={value}" if value else name for name, value in signed)
    return "\n".join(
        (
            request.method,
            headers.get("content-md5", ""),
            headers.get("content-type", ""),
            headers.get("x-oss-date", date),
            "".join(f"{name}:{headers[name]}\n" for name in oss_headers) + resource,
        )
    )


def v1_signature(string_to_sign: str, *, secret: str) -> str:
    """Return the signature in base64."""
    return base64.b64encode(hmac.new(secret.encode(), string_to_sign.encode(), hashlib.sha1).digest()).decode()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value.strip(" \t") for name, value in headers.items()}


def _encode(text: str) -> str:
    return quote(text, safe="~")
