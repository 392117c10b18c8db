"""Assets in Airflow itself: what it makes of ``oss://`` URIs, and what the events of a task's outlets carry."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.assets.oss import asset_uri, create_asset, create_prefix_asset
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.operators.folders import (
    OSSCopyPrefixOperator,
    OSSDownloadPrefixOperator,
    OSSUploadFolderOperator,
)
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.operators.sets import oss_transfer_group
from tests.world import BUCKET, PART, a_file, some_bytes

pytestmark = pytest.mark.usefixtures("database")

ODD_KEYS = ("a?b=1&a=2", "a#b", "100%", "folder/", "é 中.csv", "a//b")


def Asset(**arguments: Any) -> Any:
    from airflow.providers.common.compat.sdk import Asset

    return Asset(**arguments)


def Alias(name: str) -> Any:
    from airflow.providers.common.compat.sdk import AssetAlias

    return AssetAlias(name)


# --- URIs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ODD_KEYS)
def test_airflow_keeps_the_uri_of_any_key_as_it_is_made(key: str) -> None:
    asset = create_asset(bucket=BUCKET, key=key, extra={"owner": "me"})

    assert asset.uri == asset_uri(BUCKET, key)
    assert asset.extra == {"owner": "me"}
    assert Asset(uri=asset.uri).uri == asset.uri


@pytest.mark.parametrize("prefix", ["exports/", "exports", "", "é 50%?/a b/", "100%/"])
def test_the_asset_of_a_prefix_is_the_one_that_airflow_makes_of_its_url(prefix: str) -> None:
    asset = create_prefix_asset(bucket=BUCKET, prefix=prefix, extra={"owner": "me"})

    assert asset.uri == Asset(uri=f"oss://{BUCKET}/{quote(prefix)}").uri
    assert asset.extra == {"owner": "me"}


def test_airflow_lets_us_write_what_an_author_writes_otherwise() -> None:
    assert Asset(uri=f"OSS://{BUCKET}/a b//").uri == f"oss://{BUCKET}/a%20b"


@pytest.mark.parametrize("uri", ["oss://No/key", f"oss://{BUCKET}/a?b=1"])
def test_airflow_3_refuses_what_is_no_objects_uri_and_2_warns(uri: str) -> None:
    if AIRFLOW_3:
        with pytest.raises(ValueError, match=r"bucket names have|asset_uri writes it"):
            Asset(uri=uri)
    else:
        with pytest.warns(UserWarning, match=r"bucket names have|asset_uri writes it"):
            Asset(uri=uri)


def test_airflow_has_a_handler_a_factory_and_a_converter_for_the_scheme() -> None:
    from airflow_provider_ossresume.assets import oss

    manager = providers_manager()
    kind = "asset" if AIRFLOW_3 else "dataset"
    assert getattr(manager, f"{kind}_uri_handlers")["oss"] is oss.sanitize_uri
    assert getattr(manager, f"{kind}_factories")["oss"] is oss.create_asset
    assert getattr(manager, f"{kind}_to_openlineage_converters")["oss"] is oss.convert_asset_to_openlineage


def providers_manager() -> Any:
    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
    except ImportError:  # before 3.2
        from airflow.providers_manager import ProvidersManager

        return ProvidersManager()
    return ProvidersManagerTaskRuntime()


@pytest.mark.parametrize("key", ODD_KEYS)
def test_openlineage_names_an_asset_by_its_bucket_and_its_key(key: str) -> None:
    pytest.importorskip("openlineage.client", reason="make the environment anew: it has no OpenLineage yet")
    from airflow_provider_ossresume.assets.oss import convert_asset_to_openlineage

    dataset = convert_asset_to_openlineage(create_asset(bucket=BUCKET, key=key), None)

    assert (dataset.namespace, dataset.name) == (f"oss://{BUCKET}", key)


def test_openlineage_names_a_whole_bucket_as_other_stores_do() -> None:
    pytest.importorskip("openlineage.client", reason="make the environment anew: it has no OpenLineage yet")
    from airflow_provider_ossresume.assets.oss import convert_asset_to_openlineage

    assert convert_asset_to_openlineage(Asset(uri=f"oss://{BUCKET}"), None).name == "/"


# --- hook lineage ----------------------------------------------------------------------------------------------------


@pytest.fixture
def broken_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of hook lineage whose collector fails, as one of a plugin may."""

    class Broken:
        def add_input_asset(self, **_: Any) -> None:
            raise RuntimeError("this collector is out of order")

    from airflow.providers.common.compat.lineage import hook

    monkeypatch.setattr(hook, "get_hook_lineage_collector", Broken)


@pytest.mark.usefixtures("broken_collector")
def test_a_collector_that_fails_costs_no_transfer(
    dag: Any, connected: LocalOSS, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from tests.airflow.runs import call_in_a_task

    with caplog.at_level(logging.WARNING, logger="airflow_provider_ossresume"):
        call_in_a_task(dag, lambda _: OSSResumeHook().upload_file(a_file(tmp_path), "key", BUCKET))

    assert connected.object(BUCKET, "key") == some_bytes(5 * PART)
    assert (
        f"Could not report the lineage of oss://{BUCKET}/key to Airflow; the transfer is not affected: this collector "
        "is out of order" in caplog.text
    )


@pytest.mark.usefixtures("broken_collector")
def test_a_collector_that_fails_costs_no_transfer_of_many_files(
    dag: Any, connected: LocalOSS, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from tests.airflow.runs import call_in_a_task

    with caplog.at_level(logging.WARNING, logger="airflow_provider_ossresume"):
        verdict = call_in_a_task(dag, lambda _: OSSResumeHook().upload_folder(folder, f"oss://{BUCKET}/raw/"))

    assert verdict.outcome == "proven"
    assert f"Could not report the lineage of oss://{BUCKET}/raw/ to Airflow; the transfer is not" in caplog.text


@pytest.mark.usefixtures("broken_collector")
def test_outside_a_task_nobody_is_told(connected: LocalOSS, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

    OSSResumeHook().upload_file(a_file(tmp_path), "key", BUCKET, checkpoint="memory")

    assert "lineage" not in caplog.text


# --- the events of outlets --------------------------------------------------------------------------------------------


@pytest.fixture
def events(dag: Any, connected: LocalOSS) -> Callable[[], dict[str, dict[str, Any]]]:
    """Runs the DAG and returns the extra of each asset's event, by URI."""

    def run() -> dict[str, dict[str, Any]]:
        from tests.airflow import runs

        assert runs.run(dag).state == "success"
        kind = "asset" if AIRFLOW_3 else "dataset"
        found = runs.rows(
            f"SELECT {kind}.uri, {kind}_event.extra FROM {kind}_event JOIN {kind} ON {kind}.id = {kind}_event.{kind}_id"
            f" WHERE {kind}_event.source_dag_id = :dag_id",
            dag_id=dag.dag_id,
        )
        return {uri: json.loads(extra) if isinstance(extra, str) else extra for uri, extra in found}

    return run


def facts_of(key: str) -> dict[str, Any]:
    """What OSS itself says of an object that was transferred."""
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

    meta = OSSResumeHook().head_object(key, BUCKET)
    return {
        "uri": f"oss://{BUCKET}/{key}",
        "outcome": "transferred",
        "size": meta.size,
        "etag": meta.etag,
        "crc64": str(meta.crc64),
        "version_id": None,
    }


@pytest.mark.parametrize("key", ["exports/daily.csv", "a?b=1#c/d"])
def test_the_event_of_an_upload_carries_size_etag_and_crc64(
    dag: Any, connected: LocalOSS, events: Any, tmp_path: Path, key: str
) -> None:
    asset = create_asset(bucket=BUCKET, key=key)
    OSSResumableUploadOperator(
        task_id="upload", file=str(a_file(tmp_path)), key=key, bucket_name=BUCKET, outlets=[asset], dag=dag
    )

    found = events()

    assert found == {asset.uri: facts_of(key)}
    assert found[asset.uri]["size"] == 5 * PART


def test_the_asset_may_stand_for_more_than_the_object(
    dag: Any, connected: LocalOSS, events: Any, tmp_path: Path
) -> None:
    asset = Asset(uri=f"oss://{BUCKET}/exports")
    OSSResumableUploadOperator(
        task_id="upload",
        file=str(a_file(tmp_path)),
        key="exports/{{ dag.dag_id }}.csv",
        bucket_name=BUCKET,
        outlets=[asset],
        dag=dag,
    )

    assert events() == {asset.uri: facts_of(f"exports/{dag.dag_id}.csv")}


def test_an_alias_gets_the_object_that_was_made(dag: Any, connected: LocalOSS, events: Any, tmp_path: Path) -> None:
    OSSResumableUploadOperator(
        task_id="upload",
        file=str(a_file(tmp_path)),
        key="exports/{{ dag.dag_id }}?.csv",
        bucket_name=BUCKET,
        outlets=[Alias(f"exports of {dag.dag_id}")],
        dag=dag,
    )

    key = f"exports/{dag.dag_id}?.csv"
    assert events() == {asset_uri(BUCKET, key): facts_of(key)}


def test_the_event_of_a_download_tells_of_the_object_that_was_fetched(
    dag: Any, connected: LocalOSS, events: Any, tmp_path: Path
) -> None:
    connected.put(BUCKET, "key", some_bytes(PART))
    asset = Asset(uri=f"file://{tmp_path}/copy")
    OSSResumableDownloadOperator(
        task_id="download",
        key="key",
        file=str(tmp_path / "copy"),
        bucket_name=BUCKET,
        outlets=[asset, Alias(f"copies of {dag.dag_id}")],
        dag=dag,
    )

    assert events() == {asset.uri: facts_of("key")}  # the alias has no asset: no object was made


def test_the_event_of_a_copy_tells_of_the_object_that_was_made(dag: Any, connected: LocalOSS, events: Any) -> None:
    connected.put(BUCKET, "source", some_bytes(PART))
    asset = Asset(uri=f"oss://{BUCKET}/copies")
    OSSCopyObjectOperator(
        task_id="copy", source="source", source_bucket_name=BUCKET, target="copies/{{ dag.dag_id }}",
        bucket_name=BUCKET, outlets=[asset, Alias(f"copies of {dag.dag_id}")], dag=dag,
    )  # fmt: skip

    found, facts = events(), facts_of(f"copies/{dag.dag_id}")
    assert found == {asset.uri: facts, asset_uri(BUCKET, f"copies/{dag.dag_id}"): facts}


def test_what_was_put_into_the_event_before_stays(dag: Any, connected: LocalOSS, events: Any, tmp_path: Path) -> None:
    asset = create_asset(bucket=BUCKET, key="key")

    def first(context: Any) -> None:
        context["outlet_events"][asset].extra["rows"] = 17

    OSSResumableUploadOperator(
        task_id="upload",
        file=str(a_file(tmp_path)),
        key="key",
        bucket_name=BUCKET,
        outlets=[asset],
        pre_execute=first,
        dag=dag,
    )

    assert events() == {asset.uri: {"rows": 17, **facts_of("key")}}


def test_each_mapped_task_tells_of_its_own_object(dag: Any, connected: LocalOSS, events: Any, tmp_path: Path) -> None:
    sources = [str(a_file(tmp_path, name=name, size=size)) for name, size in (("a", 10), ("b", 20))]
    with dag:
        OSSResumableUploadOperator.partial(
            task_id="upload", bucket_name=BUCKET, outlets=[Alias(f"exports of {dag.dag_id}")]
        ).expand_kwargs([{"file": source, "key": Path(source).name} for source in sources])

    assert {uri: extra["size"] for uri, extra in events().items()} == {
        f"oss://{BUCKET}/a": 10,
        f"oss://{BUCKET}/b": 20,
    }


def test_an_object_whose_uri_is_too_long_for_airflow_is_uploaded_all_the_same(
    dag: Any, connected: LocalOSS, events: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "中" * 341  # 1,023 bytes, and three times as many characters in a URI
    OSSResumableUploadOperator(
        task_id="upload",
        file=str(a_file(tmp_path)),
        key=key,
        bucket_name=BUCKET,
        outlets=[Alias(f"exports of {dag.dag_id}")],
        dag=dag,
    )

    with caplog.at_level(logging.WARNING, logger="airflow_provider_ossresume"):
        assert events() == {}

    assert connected.object(BUCKET, key) == some_bytes(5 * PART)
    assert "Could not report the size, ETag and CRC-64 in the events of the outlets" in caplog.text


def test_an_asset_that_is_known_by_its_name_gets_the_facts_too(
    dag: Any, connected: LocalOSS, events: Any, tmp_path: Path
) -> None:
    if not AIRFLOW_3:
        pytest.skip("assets have names in Airflow 3")
    asset = Asset(name="orders", uri=asset_uri(BUCKET, "orders"))
    with dag:
        upload = OSSResumableUploadOperator(
            task_id="upload", file=str(a_file(tmp_path)), key="orders", bucket_name=BUCKET, outlets=[asset]
        )
        again = OSSResumableUploadOperator(
            task_id="again",
            file=str(a_file(tmp_path)),
            key="orders",
            bucket_name=BUCKET,
            outlets=[type(asset).ref(name=asset.name)],
        )
        upload >> again

    assert events() == {asset.uri: facts_of("orders")}


# --- many files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files, of 30 bytes in all."""
    made = tmp_path / "folder"
    made.mkdir()
    for name, size in (("a", 10), ("b", 20)):
        a_file(made, name=name, size=size)
    return made


def facts_of_both(target: str, **others: Any) -> dict[str, Any]:
    """What the event carries of the two files, when both were moved."""
    return {
        "target": target, "outcome": "proven", "files": 2, "moved": 2, "there": 0, "size": 30, "deleted": 0, **others
    }  # fmt: skip


def test_the_event_of_a_folder_carries_the_numbers_and_an_alias_gets_the_prefix(
    dag: Any, events: Any, folder: Path
) -> None:
    asset = Asset(uri=f"oss://{BUCKET}/exports")
    OSSUploadFolderOperator(
        task_id="publish", folder=str(folder), prefix="exports/{{ dag.dag_id }}", bucket_name=BUCKET,
        outlets=[asset, Alias(f"exports of {dag.dag_id}")], dag=dag,
    )  # fmt: skip

    facts = facts_of_both(f"oss://{BUCKET}/exports/{dag.dag_id}/")
    assert events() == {asset.uri: facts, f"oss://{BUCKET}/exports/{dag.dag_id}": facts}


def test_the_event_of_a_prefix_that_was_downloaded_names_the_folder_and_an_alias_gets_nothing(
    dag: Any, connected: LocalOSS, events: Any, tmp_path: Path
) -> None:
    connected.put(BUCKET, "raw/a", some_bytes(10))
    connected.put(BUCKET, "raw/b", some_bytes(20))
    asset = Asset(uri=f"file://{tmp_path}/fetched")
    OSSDownloadPrefixOperator(
        task_id="fetch", prefix=f"oss://{BUCKET}/raw/", folder=str(tmp_path / "fetched"),
        outlets=[asset, Alias(f"copies of {dag.dag_id}")], dag=dag,
    )  # fmt: skip

    assert events() == {asset.uri: facts_of_both(f"file://{tmp_path}/fetched/")}


def test_the_event_of_a_prefix_that_was_copied_to_a_whole_bucket_says_so(
    dag: Any, connected: LocalOSS, events: Any
) -> None:
    connected.create_bucket("copies")
    connected.put(BUCKET, "raw/a", some_bytes(10))
    connected.put(BUCKET, "raw/b", some_bytes(20))
    OSSCopyPrefixOperator(
        task_id="copy", source=f"oss://{BUCKET}/raw/", target="oss://copies",
        outlets=[Alias(f"copies of {dag.dag_id}")], dag=dag,
    )  # fmt: skip

    assert events() == {Asset(uri="oss://copies").uri: facts_of_both("oss://copies/")}


def test_the_event_of_a_group_is_that_of_its_finish(dag: Any, connected: LocalOSS, events: Any, folder: Path) -> None:
    for number in range(10):
        connected.put(BUCKET, f"raw/old{number}", b"old")
    asset = Asset(uri=f"oss://{BUCKET}/raw/")
    with dag:
        oss_transfer_group(
            "move", source=str(folder), target=f"oss://{BUCKET}/raw/", mode="mirror", max_delete_share=1,
            batch_files=1, outlets=[asset],
        )  # fmt: skip

    assert events() == {f"oss://{BUCKET}/raw": facts_of_both(f"oss://{BUCKET}/raw/", deleted=10)}


@pytest.mark.parametrize("is_group", [False, True])
def test_a_dry_run_causes_no_event(dag: Any, events: Any, folder: Path, is_group: bool) -> None:
    prefix = f"oss://{BUCKET}/raw/"
    outlets = [Asset(uri=prefix), Alias(f"exports of {dag.dag_id}")]
    with dag:
        if is_group:
            oss_transfer_group("move", source=str(folder), target=prefix, is_dry_run=True, outlets=outlets)
        else:
            OSSUploadFolderOperator(
                task_id="publish", folder=str(folder), prefix=prefix, is_dry_run=True, outlets=outlets
            )

    assert events() == {}


# --- a transfer that is skipped ---------------------------------------------------------------------------------------


@pytest.fixture
def skipped(dag: Any, connected: LocalOSS, tmp_path: Path) -> Callable[..., list[str]]:
    """Adds a task whose transfer is skipped, with an asset and an alias among its outlets; returns the assets' URIs."""

    def add(direction: str = "upload", if_exists: str = "skip", **options: Any) -> list[str]:
        source = a_file(tmp_path, name="file")
        connected.put(BUCKET, "key", source.read_bytes())
        asset = Asset(uri=f"oss://{BUCKET}/exports")
        outlets = [asset, Alias(f"exports of {dag.dag_id}")]
        given = {"bucket_name": BUCKET, "if_exists": if_exists, "outlets": outlets, "dag": dag, **options}
        if direction == "copy":
            connected.put(BUCKET, "source", source.read_bytes())
            OSSCopyObjectOperator(task_id="transfer", source=f"oss://{BUCKET}/source", target="key", **given)
        else:
            operator = OSSResumableUploadOperator if direction == "upload" else OSSResumableDownloadOperator
            operator(task_id="transfer", file=str(source), key="key", **given)
        return [asset.uri, *([] if direction == "download" else [asset_uri(BUCKET, "key")])]

    return add


@pytest.mark.parametrize("if_exists", ["skip", "skip_if_same"])
@pytest.mark.parametrize("direction", ["upload", "download", "copy"])
def test_a_skipped_transfer_causes_no_event(skipped: Any, events: Any, direction: str, if_exists: str) -> None:
    skipped(direction, if_exists)

    assert events() == {}


@pytest.mark.parametrize("direction", ["upload", "download", "copy"])
@pytest.mark.parametrize("flag", [True, "true", "{{ dag_run.conf.get('flag', 'True') }}"])
def test_a_skipped_transfer_causes_its_events_where_it_is_asked_to(
    skipped: Any, events: Any, direction: str, flag: Any
) -> None:
    uris = skipped(direction, event_if_skipped=flag)

    assert {uri: extra["outcome"] for uri, extra in events().items()} == dict.fromkeys(uris, "skipped")


def test_what_is_put_into_the_event_of_a_skipped_transfer_before_causes_none(skipped: Any, events: Any) -> None:
    skipped(
        pre_execute=lambda context: context["outlet_events"][Asset(uri=f"oss://{BUCKET}/exports")].extra.update(a=1)
    )

    assert events() == {}


def test_a_transfer_that_an_earlier_try_had_finished_has_its_event(
    dag: Any, connected: LocalOSS, events: Any, tmp_path: Path
) -> None:
    def fail_in_the_first_try(context: Any, result: Any = None) -> None:
        if context["ti"].try_number == 1:
            raise RuntimeError("the transfer was done, the task was not")

    asset = create_asset(bucket=BUCKET, key="key")
    OSSResumableUploadOperator(
        task_id="upload", file=str(a_file(tmp_path)), key="key", bucket_name=BUCKET, outlets=[asset],
        post_execute=fail_in_the_first_try, dag=dag,
    )  # fmt: skip

    assert {uri: extra["outcome"] for uri, extra in events().items()} == {asset.uri: "already there"}
