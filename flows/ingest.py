"""Flow `sdt-ingest`: source files to an archive."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.artifacts import ingest_page, publish
from tasks.cluster import connected
from tasks.config import IngestConfig
from tasks.ingest import ingest
from tasks.manifest import Manifest


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
