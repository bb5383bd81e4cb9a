"""Flow `sdt-extract`: an archive to features, one task for each modality."""

from contextlib import nullcontext

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL

from flows.reports.pages import Features, extract_page, publish
from flows.run_state import ended
from sdt_model.config import Modality
from tasks.config.stages import ExtractConfig
from tasks.executor.cluster import connected
from tasks.extract.stage import extract, nothing_to_do
from tasks.storage.manifest import Manifest


@task(name="extract", task_run_name="extract-{modality}", persist_result=False, cache_policy=NO_CACHE)
def extract_task(config: ExtractConfig, modality: Modality) -> Manifest | None:
    """The extract stage for one modality."""
    return extract(config, modality)


@flow(name="sdt-extract", persist_result=False)
def extract_flow(config: ExtractConfig) -> Features:
    """Make the features of every utterance of an archive."""
    with nullcontext() if _all_there(config) else connected(config.ray):
        features = {modality: extract_task(config, modality) for modality in config.modalities}
    rows = max((manifest.rows for manifest in features.values() if manifest), default=0)
    publish("sdt-extract", extract_page(config, features), rows)
    return ended(features, features)


def extract_found(config: ExtractConfig) -> Features | None:
    """What the flow would find, where there is nothing to do and no server to be told so; else None.

    Starting a server of our own would take longer than all the rest.
    """
    if PREFECT_API_URL.value() or not _all_there(config):
        return None
    return {modality: extract(config, modality) for modality in config.modalities}


def _all_there(config: ExtractConfig) -> bool:
    return all(nothing_to_do(config, modality) for modality in config.modalities)
