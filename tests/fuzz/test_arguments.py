"""Whatever comes as an argument of the hook, the client or the plain functions: a value, or an error of the tree.

``hypothesis`` makes texts that templates, file names and other people's data have brought: lone surrogates, NUL, line
ends, things that look like URLs, lists or numbers, and what is no text at all.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.resumable import make_client, resumable_download, resumable_upload
from tests.world import BUCKET, BytesBody, a_client

steady = settings(
    derandomize=True, deadline=None, database=None, max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

NASTY = [
    "", " ", "\0", "a\0b", "\udc80", "\ud83d", "a\r\nX-A: b", "\n", "\x7f", "\u2028", "..", "/a", "a/", "x" * 1100,
    "oss://", "oss://b/", "oss://bucket/\udc80", "oss://bucket/a\0b", "oss://bucket/xx://[", "http://[", "https://h:x",
    "https://h:0", "https://h:99999", "https://a..b", "https://" + "a" * 70, "http://user:pass@h", "['a', 'b']", "60",
    "1h", "-1", "nan", "1e9", "bytes=0-1", "Host", "Content-Length", "None", "{{ x }}", "😀", "键",
]  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(st.characters(), max_size=20)
times = st.datetimes() | st.datetimes(timezones=st.just(timezone(timedelta(hours=23))))
anything = texts | st.none() | st.booleans() | st.integers(-2, 10) | st.floats() | st.binary(max_size=5) | times
mappings = st.dictionaries(texts, texts | st.integers(), max_size=2)
OPTIONS = {
    **dict.fromkeys(
        [
            "content_type", "content_encoding", "content_disposition", "content_language", "cache_control",
            "storage_class", "acl", "server_side_encryption", "sse_kms_key_id", "request_payer", "traffic_limit",
        ],
        anything,
    ),
    "expires": anything,
    "metadata": mappings,
    "tags": mappings,
    "headers": mappings,
}  # fmt: skip
options = st.lists(st.sampled_from(list(OPTIONS)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: OPTIONS[name] for name in names})
)


def only_errors_of_ours(call: Callable[[], object]) -> None:
    with contextlib.suppress(OSSResumeError):
        call()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalOSS, Path]]:
    with LocalOSS(buckets=[BUCKET]) as oss:
        oss.put(BUCKET, "key", b"x")
        yield oss, tmp_path_factory.mktemp("files")


@pytest.fixture
def hook(served: tuple[LocalOSS, Path], monkeypatch: pytest.MonkeyPatch) -> OSSResumeHook:
    connection = json.loads(served[0].airflow_connection())
    connection["extra"]["bucket"] = BUCKET
    monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", json.dumps(connection))
    hook = OSSResumeHook(transfer_config={"part_retries": 0})
    assert hook.object_exists("key")
    return hook


@steady
@given(key=texts, bucket=texts | st.none(), file=texts, given_options=options, if_exists=texts)
def test_an_upload(
    hook: OSSResumeHook,
    served: tuple[LocalOSS, Path],
    key: Any,
    bucket: Any,
    file: Any,
    given_options: Any,
    if_exists: Any,
) -> None:
    source = served[1] / "source"
    source.write_bytes(b"x")
    for path, name, where, policy in ((source, key, bucket, "overwrite"), (file, "k", BUCKET, if_exists)):
        only_errors_of_ours(
            lambda path=path, name=name, where=where, policy=policy: hook.upload_file(
                path, name, where, checkpoint=MemoryCheckpointStore(), if_exists=policy
            )
        )
    only_errors_of_ours(
        lambda: hook.upload_file(source, "k", BUCKET, checkpoint=MemoryCheckpointStore(), **given_options)
    )
    only_errors_of_ours(
        lambda: resumable_upload(
            a_client(served[0]), BUCKET, key, source, store=MemoryCheckpointStore(), **given_options
        )
    )


@steady
@given(key=texts, bucket=texts | st.none(), file=texts, version=anything, headers=mappings, more=anything)
def test_a_download(
    hook: OSSResumeHook,
    served: tuple[LocalOSS, Path],
    monkeypatch: pytest.MonkeyPatch,
    key: Any,
    bucket: Any,
    file: Any,
    version: Any,
    headers: Any,
    more: Any,
) -> None:
    monkeypatch.chdir(served[1])
    target = served[1] / "target"
    for path, name, where, number in ((target, key, bucket, None), (target, "key", BUCKET, version)):
        only_errors_of_ours(
            lambda path=path, name=name, where=where, number=number: hook.download_file(
                name, path, where, version_id=number, checkpoint=MemoryCheckpointStore()
            )
        )
    inside = f"./{file}".replace("..", "_")
    only_errors_of_ours(lambda: hook.download_file("key", inside, BUCKET, checkpoint=MemoryCheckpointStore()))
    for argument in ("file_mode", "byte_range", "if_exists", "traffic_limit", "request_payer", "preserve_mtime"):
        only_errors_of_ours(
            lambda argument=argument: hook.download_file(
                "key", target, BUCKET, checkpoint=MemoryCheckpointStore(), **{argument: more}
            )
        )
    only_errors_of_ours(
        lambda: resumable_download(
            a_client(served[0]), BUCKET, "key", target, store=MemoryCheckpointStore(), headers=headers
        )
    )


@steady
@given(one=texts, other=texts, bucket=texts | st.none(), thing=anything, headers=mappings)
def test_the_other_calls_of_the_hook(
    hook: OSSResumeHook, one: Any, other: Any, bucket: Any, thing: Any, headers: Any
) -> None:
    for call in (
        lambda: hook.head_object(one, bucket),
        lambda: hook.object_exists(one, bucket),
        lambda: hook.list_keys(bucket, prefix=one, start_after_key=other),
        lambda: hook.list_keys(BUCKET, start_after_key=one, delimiter=other),
        lambda: list(hook.iterate_keys(one, bucket, kind="wildcard")),
        lambda: hook.copy_object(one, other, source_bucket_name=bucket, dest_bucket_name=BUCKET),
        lambda: hook.copy_object("key", "copy", source_bucket_name=BUCKET, dest_bucket_name=BUCKET, headers=headers),
        lambda: hook.delete_objects([one], bucket),
        lambda: hook.list_multipart_uploads(bucket, prefix=one),
        lambda: hook.abort_multipart_upload(one, other, bucket),
        lambda: hook.abort_multipart_upload("key", other, BUCKET),
        lambda: hook.list_keys(BUCKET, max_items=thing, page_size=thing, from_datetime=thing, apply_wildcard=thing),
        lambda: hook.list_prefixes(bucket, one, other, thing, thing),
        lambda: hook.check_for_prefix(one, other, bucket),
        lambda: hook.get_wildcard_key(one, bucket, other),
        lambda: hook.get_file_metadata(one, bucket, thing, thing),
        lambda: hook.read_bytes(one, bucket, byte_range=thing),
        lambda: hook.read_key("key", BUCKET, encoding=one),
        lambda: hook.load_string(one, other, bucket, thing, thing, thing, thing, thing),
        lambda: hook.load_string("text", "loaded", BUCKET, True, encoding=one, compression=other),
        lambda: hook.load_bytes(thing, "loaded", BUCKET, True, headers=headers),
        lambda: hook.load_file_obj(thing, one, bucket),
        lambda: hook.append_string(one, other, bucket, thing),
        lambda: hook.put_object_tagging("key", thing, BUCKET),
        lambda: hook.put_object_tagging("key", headers, BUCKET),
        lambda: hook.get_object_tagging(one, bucket, version_id=other),
        lambda: hook.create_bucket(bucket, acl=thing, storage_class=one, redundancy=other),
        lambda: hook.check_for_bucket(bucket),
        lambda: hook.delete_bucket(one, thing),
        lambda: hook.generate_presigned_url(one, bucket),
        lambda: hook.generate_presigned_url("key", BUCKET, method=one, expires=thing),
    ):
        only_errors_of_ours(call)


@steady
@given(bucket=texts, key=texts, version=texts | st.none(), text=texts, thing=anything, headers=mappings)
def test_the_calls_of_the_client(
    served: tuple[LocalOSS, Path], bucket: Any, key: Any, version: Any, text: Any, thing: Any, headers: Any
) -> None:
    client = a_client(served[0], retry=RetryPolicy(attempts=1))
    good, body = ObjectRef(BUCKET, "key"), BytesBody(b"x")
    for target in (ObjectRef(bucket, "key"), ObjectRef(BUCKET, key), ObjectRef(BUCKET, "key", version)):
        for call in (
            client.head_object,
            client.get_object_acl,
            client.get_object_tagging,
            client.initiate,
            lambda target: client.put_object(target, body),
            lambda target: client.upload_part(target, text, 1, body),
            lambda target: client.list_parts(target, text),
            lambda target: client.abort(target, text),
            lambda target: client.copy_object(good, target),
            lambda target: client.copy_object(target, ObjectRef(BUCKET, "copy")),
            lambda target: client.presigned_url("GET", target, expires=thing),
            lambda target: client.delete_object(ObjectRef(target.bucket, target.key + "x")),
        ):
            only_errors_of_ours(lambda call=call, target=target: call(target))
    for other in (
        lambda: client.with_headers(headers).head_object(good),
        lambda: client.put_object(good, body, headers=headers),
        lambda: client.initiate(good, headers=headers),
        lambda: client.copy_object(good, good, headers=headers),
        lambda: client.delete_objects(BUCKET, [key + "x"]),
        lambda: list(client.list_objects(bucket, prefix=key, start_after=text, delimiter=text)),
        lambda: list(client.list_objects(BUCKET, prefix=key, start_after=text, delimiter=text)),
        lambda: list(client.list_uploads(BUCKET, prefix=text)),
        lambda: client.get_bucket_info(bucket),
        lambda: client.presigned_url(text, good, expires=60),
        lambda: client.presigned_url("GET", good, expires=60, query={"response-content-type": text}),
    ):
        only_errors_of_ours(other)


@steady
@given(endpoint=texts, region=texts | st.none(), key_id=texts, secret=texts, token=texts | st.none(), version=texts)
def test_a_client_is_made(
    served: tuple[LocalOSS, Path], endpoint: Any, region: Any, key_id: Any, secret: Any, token: Any, version: Any
) -> None:
    def ask(place: str, **said: Any) -> OssClient:
        settings = {"access_key_id": "id", "access_key_secret": "secret", "region": "cn-hangzhou", **said}
        return make_client(place, **settings)

    def look(**said: Any) -> None:
        client = ask(served[0].endpoint, retry=RetryPolicy(attempts=1), **said)
        client.head_object(ObjectRef(BUCKET, "key"))

    only_errors_of_ours(lambda: ask(endpoint))
    only_errors_of_ours(lambda: look(region=region))
    only_errors_of_ours(lambda: look(access_key_id=key_id, access_key_secret=secret, security_token=token))
    only_errors_of_ours(lambda: look(signature_version=version))
    only_errors_of_ours(lambda: look(proxies={"http": endpoint}, connect_timeout=0.2))


def test_what_escapes_is_seen() -> None:
    with pytest.raises(ZeroDivisionError):
        only_errors_of_ours(lambda: 1 / 0)
