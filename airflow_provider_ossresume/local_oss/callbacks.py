"""Upload callbacks: calls an application's server on this machine, and returns its answer as OSS's answer.

OSS stores the object first, and then makes the call once. The object stays, even if the call fails. A callback to
another machine is not made; the upload is answered as if it had no callback.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from airflow_provider_ossresume.local_oss.answers import Answer, Refusal, invalid_argument
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.records import StoredObject

MAX_CALLBACK_SIZE = 5 * 1024  # OSS: bytes of each of the two parameters
MAX_URLS = 5  # OSS: they are called in order until one succeeds
MAX_ANSWER_SIZE = 1024**2  # OSS: bytes of the application's answer
TIMEOUT = 5.0  # seconds; OSS
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


@dataclass(frozen=True)
class Callback:
    """The call that a request asks for."""

    urls: tuple[str, ...]
    host: str
    body: str
    body_type: str
    variables: Mapping[str, str]


def callback_of(request: IncomingRequest) -> Callback | None:
    """Return the callback in a request's headers or query, if any. Raises Refusal if it is not valid."""
    said, variables = (_parameter(request, name) for name in ("callback", "callback-var"))
    urls = tuple(url.strip() for url in str(said.get("callbackUrl") or "").split(";") if url.strip())
    if not any(_is_here(url) for url in urls):
        return None
    body, body_type = said.get("callbackBody"), said.get("callbackBodyType", _FORM)
    if len(urls) > MAX_URLS or not isinstance(body, str) or not body or body_type not in (_FORM, _JSON):
        raise invalid_argument("callback", "", message="The callback configuration is not valid.")
    if not all(re.fullmatch("x:[a-z0-9_.-]+", name) and isinstance(value, str) for name, value in variables.items()):
        raise invalid_argument("callback-var", "", message="The callback-var configuration is not valid.")
    return Callback(urls, str(said.get("callbackHost") or ""), body, body_type, variables)


def _parameter(request: IncomingRequest, name: str) -> dict[str, Any]:
    given = [text for text in (request.headers.get(f"x-oss-{name}"), request.query.get(name)) if text is not None]
    try:
        value = json.loads(base64.b64decode(given[0], validate=True)) if given else {}
    except ValueError:  # not base64, not UTF-8 or not JSON
        value = None
    if len(given) > 1 or not isinstance(value, dict) or any(len(text) > MAX_CALLBACK_SIZE for text in given):
        raise invalid_argument(name, "", message=f"The {name} configuration is not base64-encoded JSON.")
    return value


def called_back(callback: Callback | None, bucket: str, stored: StoredObject, answer: Answer) -> Answer:
    """Make the call, and return the answer with the application's body. Raises Refusal with 203 if the call fails."""
    if callback is None:
        return answer
    why = ""
    for url in callback.urls:
        try:
            body = _called(url, callback, bucket, stored)
        except (OSError, ValueError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
        else:
            return replace(answer, headers={**answer.headers, "Content-Type": _JSON}, body=body)
    proof = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
    raise Refusal(203, "CallbackFailed", why, ec="0007-00000203", headers=proof)


def _called(url: str, callback: Callback, bucket: str, stored: StoredObject) -> bytes:
    if not _is_here(url):
        raise ValueError("the local OSS server calls http:// on this machine only")
    place = _place(url)
    headers = {"Content-Type": callback.body_type, "Host": callback.host or place.netloc, "User-Agent": "http-client"}
    path = f"{place.path or '/'}?{place.query}" if place.query else place.path or "/"
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=TIMEOUT)
    try:
        connection.request("POST", path, _filled(callback, bucket, stored).encode(), headers)
        found = connection.getresponse()
        body = found.read(MAX_ANSWER_SIZE + 1)
    finally:
        connection.close()
    if found.status != 200:
        raise ValueError(f"Error status : {found.status}.")
    if len(body) > MAX_ANSWER_SIZE:
        raise ValueError("Response body is too large.")
    try:
        json.loads(body)
    except ValueError:
        raise ValueError("Response body is not valid json format.") from None
    return body


def _place(url: str) -> SplitResult:
    return urlsplit(url if "://" in url else f"http://{url}")


def _is_here(url: str) -> bool:
    try:
        place = _place(url)
    except ValueError:
        return False
    return place.scheme == "http" and place.hostname in ("127.0.0.1", "localhost", "::1")


def _filled(callback: Callback, bucket: str, stored: StoredObject) -> str:
    """Return the body of the call with the variables filled in; unknown ones are empty."""
    known: dict[str, str | int] = {
        "bucket": bucket,
        "object": stored.key,
        "etag": stored.etag,
        "size": stored.content.size,
        "mimeType": stored.headers.get("content-type", ""),
        **callback.variables,
    }

    def value(match: re.Match[str]) -> str:
        found = known.get(match[1], "")
        return json.dumps(found) if callback.body_type == _JSON else quote(str(found), safe="")

    return re.sub(r"\$\{([^}]*)\}", value, callback.body)
