"""Flow `sdt-extract`: an archive to features, one task for each modality."""

from flows.orchestration import conclude, current_run, flow, run_task
from flows.reports.pages import Features, extract_page
from flows.run_state import Outcome, aside_files
from tasks.archive.layout import archive_features_folder
from tasks.config.stages import ExtractConfig
from tasks.extract.stage import extract


@flow("sdt-extract")
def extract_flow(config: ExtractConfig) -> Features:
    """Make the features of every utterance of an archive."""
    name = current_run().name
    features = {
        modality: run_task(f"extract-{modality}", extract, config, modality, name) for modality in config.modalities
    }
    conclude(
        Outcome(
            extract_page(config, features),
            rows=max((manifest.rows for manifest in features.values() if manifest), default=0),
            counts=feature_counts(features),
            outputs=(archive_features_folder(config.archive),),
            aside=aside_files(features.values()),
        )
    )
    return features


def feature_counts(features: Features) -> dict[str, int]:
    """For each modality that the archive has, how many utterances have a vector, have none to make, or failed."""
    return {
        f"{modality}_{name}": manifest.counts[name]
        for modality, manifest in features.items()
        if manifest is not None
        for name in ("present", "absent", "failed")
    }
