"""``oss://`` assets: one URI for each object, whatever characters its key holds.

Airflow gives parts of a URI a meaning of its own: it drops a fragment and trailing slashes and sorts a query, and
Airflow 2.11 takes only ASCII. So a key stands in an asset's URI percent-encoded. An ``oss://`` URL that an operator or
the hook takes is something else: there the key stands as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.object_names import check_bucket, check_key
from airflow_provider_ossresume.model.objects import ObjectRef

if TYPE_CHECKING:
    from airflow_provider_ossresume._airflow import Asset

# RFC 3986, section 3.3: what a path holds as it is, beside letters, digits and "-._~".
PLAIN = "/!$&'()*+,;=:@"


def asset_uri(bucket: str, key: str) -> str:
    """Return the URI by which Airflow knows an object as an asset: ``oss://my-bucket/a%3Fb`` for the key ``a?b``.

    Two keys never share a URI. Give it to ``Asset`` where a name or a group is wanted too; else :func:`create_asset`
    is shorter.

    :raises ArgumentError: when OSS allows no such bucket or key
    """
    return f"oss://{check_bucket(bucket)}/{_encoded(check_key(key))}"


def create_asset(*, bucket: str, key: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an object: an ``Asset`` on Airflow 3, a ``Dataset`` on 2.11.

    :raises ValueError: when OSS allows no such bucket or key (an ArgumentError), or the URI is longer than Airflow
        takes: 1,500 characters on 3.x and 3,000 on 2.11
    """
    from airflow_provider_ossresume._airflow import Asset

    return Asset(uri=asset_uri(bucket, key), extra=extra)


def create_prefix_asset(*, bucket: str, prefix: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of all objects below a prefix: that of ``oss://my-bucket/exports`` for ``exports/``.

    It is what Airflow makes of ``oss://my-bucket/exports/``, as it drops the slash, so an object with the key
    ``exports`` shares it. An empty prefix is the whole bucket.

    :raises ValueError: as :func:`create_asset` does
    """
    from airflow_provider_ossresume._airflow import Asset

    key = prefix.removesuffix("/")
    return Asset(uri=asset_uri(bucket, key) if key else f"oss://{check_bucket(bucket)}", extra=extra)


def parse_asset_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of an asset's URI; the key is empty for the asset of a whole bucket.

    :raises ArgumentError: when it is no URI of an object, or OSS allows no such bucket or key
    """
    target = _object_of(urlsplit(uri))
    return target.bucket, target.key


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the one form that Airflow keeps of an asset's URI, as :func:`asset_uri` writes it.

    Airflow calls this for each ``oss://`` asset.

    :raises ArgumentError: when it is no URI of an object, or OSS allows no such bucket or key; Airflow 3 then refuses
        the asset, Airflow 2.11 warns
    """
    target = _object_of(uri)
    return uri._replace(path=f"/{_encoded(target.key)}")


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Any:
    """Return the OpenLineage dataset of an asset: the namespace is ``oss://bucket``, the name is the key."""
    from airflow_provider_ossresume._airflow import openlineage_dataset

    bucket, key = parse_asset_uri(str(asset.uri))
    return openlineage_dataset(f"oss://{bucket}", key or "/")


def _object_of(uri: SplitResult) -> ObjectRef:
    if uri.scheme != "oss" or uri.query or uri.fragment:
        raise ArgumentError(
            "uri", uri.geturl(), "an asset's URI reads oss://bucket/key; assets.oss.asset_uri writes it for any key"
        )
    try:
        key = unquote(uri.path.removeprefix("/"), errors="strict")
    except UnicodeDecodeError:
        raise ArgumentError(
            "uri", uri.geturl(), "what is percent-encoded in it is not UTF-8; let assets.oss.asset_uri write it"
        ) from None
    return ObjectRef(check_bucket(uri.netloc, argument="bucket"), check_key(key) if key else "")


def _encoded(key: str) -> str:
    kept = key.rstrip("/")  # Airflow drops slashes at the end, so those of the key are encoded
    return quote(kept, safe=PLAIN) + "%2F" * (len(key) - len(kept))
