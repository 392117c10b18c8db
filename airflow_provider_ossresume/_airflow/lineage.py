"""Assets, and lineage: reports to Airflow and OpenLineage of the data that a task reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.providers.common.compat.sdk import Asset, AssetAlias, BaseHook

from airflow_provider_ossresume._airflow.versions import AIRFLOW_3

# The arguments of the collector for one asset: its ``uri``, or its ``scheme`` and ``asset_kwargs``.
AssetArguments = Mapping[str, Any]


def openlineage_dataset(namespace: str, name: str) -> Any:
    from airflow.providers.common.compat.openlineage.facet import Dataset

    return Dataset(namespace=namespace, name=name)


def operator_lineage(
    inputs: list[tuple[str, str]], outputs: list[tuple[str, str]], *, size: int | None, files: int = 1
) -> Any:
    """Return the lineage of an operator, for OpenLineage's extractor.

    :param inputs: namespace and name of each dataset
    :param size: bytes written to each output, if known
    :param files: the number of files written
    """
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    facets: dict[str, Any] = (
        {} if size is None else {"outputStatistics": OutputStatisticsOutputDatasetFacet(size=size, fileCount=files)}
    )
    return OperatorLineage(
        inputs=[openlineage_dataset(*each) for each in inputs],
        outputs=[OutputDataset(namespace=namespace, name=name, outputFacets=facets) for namespace, name in outputs],
    )


def report_hook_lineage(hook: BaseHook, *, inputs: Iterable[AssetArguments], outputs: Iterable[AssetArguments]) -> None:
    """Report a hook's inputs and outputs to Airflow's hook lineage collector.

    Without a consumer of lineage, the collector does nothing.

    :param inputs: for each asset its ``uri``, or its ``scheme`` and the ``asset_kwargs`` for that scheme's factory
    """
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    collector = get_hook_lineage_collector()
    for arguments in inputs:
        collector.add_input_asset(context=hook, **arguments)
    for arguments in outputs:
        collector.add_output_asset(context=hook, **arguments)


def add_to_outlet_events(
    context: Mapping[str, Any], outlets: Iterable[Any], extra: Mapping[str, Any], *, written: Asset | None
) -> None:
    """Add to the ``extra`` of each asset event that Airflow emits when the task succeeds.

    :param written: the asset that the task has written; each alias among the outlets gets it
    """
    events = context["outlet_events"]
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            if written is not None:
                events[outlet].add(written, extra=dict(extra))
        elif isinstance(outlet, _asset_classes()):
            events[outlet].extra.update(extra)


def _asset_classes() -> tuple[type, ...]:
    if not AIRFLOW_3:
        return (Asset,)
    from airflow.sdk.definitions.asset import AssetRef  # an asset that is given only by its name or URI

    return Asset, AssetRef
