from tasks.archive.layout import PRODUCTION, archive_manifest_path
from tasks.config.stages import LabelConfig
from tasks.label.stage import label
from tasks.maintenance.status import ArchiveStatus, workspace_status
from tasks.storage.manifest import read_manifest
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model


def test_what_is_missing_until_everything_is_labelled(workspace: Workspace) -> None:
    assert workspace_status(workspace) == []
    rows = made.archive(workspace, modalities=("text", "audio")).rows
    promoted_model(workspace, modalities=("text",))
    (before,) = workspace_status(workspace)
    assert before == ArchiveStatus(
        "made", rows, 3, 0, {"text": "there"}, (("sdt label made", "3 days, such as 2026-03-01: never labelled"),)
    )
    label(LabelConfig(workspace=workspace.url, ray=LOCAL, archive="made"))
    (after,) = workspace_status(workspace)
    assert (after.days, after.labelled, after.missing) == (3, 3, ())
    promoted_model(workspace, "sdt-newer", ("text",))
    (newer,) = workspace_status(workspace)
    assert (newer.days, newer.labelled) == (3, 3)
    assert newer.missing == (("sdt label made", "3 days, such as 2026-03-01: labelled by sdt-made"),)


def test_features_that_production_wants_and_are_not_there(workspace: Workspace) -> None:
    made.archive(workspace, modalities=("text",))
    promoted_model(workspace)
    archive = read_manifest(workspace, archive_manifest_path("made"))
    assert archive is not None
    archive.model_copy(update={"fingerprint": "new"}).write(workspace, archive_manifest_path("made"))
    (found,) = workspace_status(workspace)
    assert found.features == {"text": "out of date", "audio": "none in the archive", "visual": "none in the archive"}
    assert found.missing[0] == ("sdt extract made --set extractors.text=minilm", "text out of date")


def test_without_a_model_it_is_trained_first_and_a_half_ingested_archive_is_brought_in_again(
    workspace: Workspace,
) -> None:
    made.archive(workspace)
    workspace.write_bytes("archives/half/utterances/f/part-00000.parquet", b"")
    promoted_model(workspace)
    workspace.remove(PRODUCTION)
    half, whole = workspace_status(workspace)
    assert half.utterances is None and half.missing[0][0] == "sdt ingest KIND PATH --archive half"
    assert whole.missing == (("sdt train made", "no model is in production"),)
