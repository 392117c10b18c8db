"""``oss://`` assets: one URI for each object, with any characters in its key.

Airflow changes some URIs: it removes a fragment and slashes at the end, and sorts a query. Airflow 2.11 accepts only
ASCII. So an asset's URI has the key percent-encoded. In an ``oss://`` URL for an operator or the hook, the key is not
encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.object_names import check_bucket, check_key
from airflow_provider_ossresume.model.objects import ObjectRef

if TYPE_CHECKING:
    from airflow_provider_ossresume._airflow import Asset

# RFC 3986, section 3.3: what a path may contain unencoded, besides letters, digits and "-._~".
PLAIN = "/!$&'()*+,;=:@"


def asset_uri(bucket: str, key: str) -> str:
    """Return the asset URI of an object: ``oss://my-bucket/a%3Fb`` for the key ``a?b``.

    Two keys never have the same URI. Pass it to ``Asset`` if you also set a name or a group. Otherwise
    :func:`create_asset` is shorter.

    :raises ArgumentError: if OSS does not allow the bucket or the key
    """
    return f"oss://{check_bucket(bucket)}/{_encoded(check_key(key))}"


def create_asset(*, bucket: str, key: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an object: an ``Asset`` on Airflow 3, a ``Dataset`` on 2.11.

    :raises ValueError: if OSS does not allow the bucket or the key (an ArgumentError), or if the URI is longer than
        Airflow allows: 1,500 characters on 3.x, 3,000 on 2.11
    """
    from airflow_provider_ossresume._airflow import Asset

    return Asset(uri=asset_uri(bucket, key), extra=extra)


def create_prefix_asset(*, bucket: str, prefix: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of all objects below a prefix: ``oss://my-bucket/exports`` for ``exports/``.

    Airflow removes the slash at the end of a URI, so an object with the key ``exports`` has the same asset. An empty
    prefix means the whole bucket.

    :raises ValueError: see :func:`create_asset`
    """
    from airflow_provider_ossresume._airflow import Asset

    key = prefix.removesuffix("/")
    return Asset(uri=asset_uri(bucket, key) if key else f"oss://{check_bucket(bucket)}", extra=extra)


def parse_asset_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of an asset's URI. For the asset of a whole bucket, the key is empty.

    :raises ArgumentError: if it is not the URI of an object, or OSS does not allow the bucket or the key
    """
    target = _object_of(urlsplit(uri))
    return target.bucket, target.key


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return an asset's URI in the form of :func:`asset_uri`. Airflow calls this for each ``oss://`` asset.

    :raises ArgumentError: if it is not the URI of an object, or OSS does not allow the bucket or the key. Airflow 3
        then rejects the asset; Airflow 2.11 logs a warning
    """
    target = _object_of(uri)
    return uri._replace(path=f"/{_encoded(target.key)}")


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Any:
    """Return the OpenLineage dataset of an asset: its namespace is ``oss://bucket``, its name is the key."""
    from airflow_provider_ossresume._airflow import openlineage_dataset

    bucket, key = parse_asset_uri(str(asset.uri))
    return openlineage_dataset(f"oss://{bucket}", key or "/")


def _object_of(uri: SplitResult) -> ObjectRef:
    if uri.scheme != "oss" or uri.query or uri.fragment:
        raise ArgumentError(
            "uri", uri.geturl(), "an asset's URI has the form oss://bucket/key; use assets.oss.asset_uri to make it"
        )
    try:
        key = unquote(uri.path.removeprefix("/"), errors="strict")
    except UnicodeDecodeError:
        raise ArgumentError(
            "uri", uri.geturl(), "its percent-encoding is not UTF-8; use assets.oss.asset_uri to make it"
        ) from None
    return ObjectRef(check_bucket(uri.netloc, argument="bucket"), check_key(key) if key else "")


def _encoded(key: str) -> str:
    kept = key.rstrip("/")  # Airflow removes slashes at the end, so encode those of the key
    return quote(kept, safe=PLAIN) + "%2F" * (len(key) - len(kept))
