"""Flow `sdt-ingest`: source files to an archive."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.reports.pages import ingest_page, publish
from tasks.config.stages import IngestConfig
from tasks.executor.cluster import connected
from tasks.ingest.stage import ingest
from tasks.storage.manifest import Manifest


@task(name="ingest", persist_result=False, cache_policy=NO_CACHE)
def ingest_task(config: IngestConfig) -> Manifest:
    """The ingest stage."""
    return ingest(config)


@flow(name="sdt-ingest", persist_result=False)
def ingest_flow(config: IngestConfig) -> Manifest:
    """Bring source files in as an archive of utterances."""
    with connected(config.ray):
        manifest = ingest_task(config)
    publish("sdt-ingest", ingest_page(config, manifest), manifest.counts["rows_in"])
    return manifest
