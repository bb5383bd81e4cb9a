"""MLflow's own client and file store, read back by it."""

from pathlib import Path

import pytest

from tasks.errors import WorkflowError
from tasks.training import tracking
from tasks.training.promotion import Promotion
from tasks.training.tracking import track, tracked
from tests.fixtures.models import bundle

PROMOTION = Promotion(promoted=True, why="it is better")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'mlflow'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # in maintenance mode, and the one store without a server
    mlflow.set_tracking_uri(None)
    return tmp_path / "mlflow"


@pytest.mark.long
def test_a_model_is_a_run_with_its_settings_scores_and_card(store: Path) -> None:
    from mlflow.tracking import MlflowClient

    made = bundle().model_copy(update={"metrics": {"dev_weighted_f1": 0.5}, "made_with": {"torch": "2.13.0"}})
    assert tracked()
    track(made, PROMOTION, "s3://bucket/models/x")
    client = MlflowClient(f"file://{store}")
    experiment = client.get_experiment_by_name(f"sdt/{made.archive}")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == made.model_id and run.info.status == "FINISHED"
    assert run.data.metrics == {"dev_weighted_f1": 0.5}
    assert run.data.tags["bundle"] == "s3://bucket/models/x" and run.data.tags["promoted"] == "True"
    assert run.data.tags["torch"] == "2.13.0" and run.data.tags["why"] == "it is better"
    assert run.data.params["optim.learning_rate"] == str(made.training.optim.learning_rate)
    assert run.data.params["data"] == made.data_fingerprint and run.data.params["extractor.text"].startswith(
        "made-text "
    )
    card = Path(client.download_artifacts(run.info.run_id, "README.md", store.parent)).read_text()
    assert card.startswith(f"# {made.model_id}")


@pytest.mark.long
def test_a_server_that_does_not_answer_costs_the_record_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri(None)
    track(bundle(), PROMOTION, "models/x")
    assert f"{bundle().model_id} is not in MLflow at http://127.0.0.1:9" in caplog.text


def test_without_the_variable_nothing_is_tracked_and_without_the_library_it_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert not tracked()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(WorkflowError, match=r"pip install 'sdt-emotion\[mlflow\]'"):
        tracked()
