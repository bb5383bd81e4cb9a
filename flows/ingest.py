"""Flow `sdt-ingest`: source files to an archive."""

from flows.orchestration import conclude, flow, run_task
from flows.reports.pages import ingest_page
from flows.run_state import Outcome
from tasks.archive.layout import archive_folder
from tasks.config.stages import IngestConfig
from tasks.ingest.stage import ingest
from tasks.storage.manifest import Manifest


@flow("sdt-ingest")
def ingest_flow(config: IngestConfig) -> Manifest:
    """Bring source files in as an archive of utterances."""
    manifest = run_task("ingest", ingest, config)
    rows, page = manifest.counts["rows_in"], ingest_page(config, manifest)
    conclude(Outcome(page, rows, manifest.counts, outputs=(archive_folder(config.archive),)))
    return manifest
