"""Flow `sdt-ingest`: source files to an archive."""

from flows.orchestration import conclude, current_run, flow, run_task
from flows.reports.pages import ingest_page
from flows.run_state import Outcome
from tasks.archive.layout import archive_folder
from tasks.config.stages import IngestConfig
from tasks.ingest.losses import excess
from tasks.ingest.stage import ingest
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace


@flow("sdt-ingest")
def ingest_flow(config: IngestConfig) -> Manifest:
    """Bring source files in as an archive of utterances."""
    manifest = run_task("ingest", ingest, config, current_run().name)
    rows, page = manifest.counts["rows_in"], ingest_page(config, manifest)
    outputs, rejections = (archive_folder(config.archive),), excessive_losses(config, manifest)
    conclude(Outcome(page, rows, manifest.counts, outputs, rejections=rejections))
    return manifest


def excessive_losses(config: IngestConfig, manifest: Manifest) -> tuple[str, ...]:
    """What of the source was lost beyond its `most_rejected`, in words."""
    return excess(Workspace(config.workspace), config.archive, manifest, config.most_rejected)
