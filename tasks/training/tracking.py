"""Trained models in MLflow, where `MLFLOW_TRACKING_URI` names a server: settings, scores, and the model card.

The bundle stays in the workspace, which remains the place that labelling reads. Nothing of MLflow's is imported
without that variable.
"""

import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec

from pydantic import BaseModel

from sdt_model.bundle import CARD, DESCRIPTION, Bundle, card
from tasks.errors import WorkflowError
from tasks.training.promotion import Promotion

log = logging.getLogger("sdt.train")

_VARIABLE = "MLFLOW_TRACKING_URI"


def tracked() -> bool:
    """Whether models are to be tracked.

    Raises:
        WorkflowError: they are, and MLflow is not installed; better said before training than after it.
    """
    if not os.environ.get(_VARIABLE):
        return False
    if find_spec("mlflow") is None:
        raise WorkflowError(
            f"{_VARIABLE} is set, and MLflow is not installed\n"
            "  install it with: pip install 'sdt-emotion[mlflow]', or unset the variable"
        )
    return True


def track(bundle: Bundle, promotion: Promotion, path: str) -> None:
    """Write one trained model down as a run of the experiment `sdt/<archive>`, with ``path`` to its bundle.

    A server that does not answer costs the record, not the model, which is whole already; the log says so.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    tags = {"model_id": bundle.model_id, "bundle": path, "promoted": str(promotion.promoted), "why": promotion.why}
    try:
        mlflow.set_experiment(f"sdt/{bundle.archive}")
        with mlflow.start_run(run_name=bundle.model_id, tags=tags | bundle.made_with):
            mlflow.log_params({"data": bundle.data_fingerprint, **dict(_settings(bundle.training))})
            mlflow.log_params({f"extractor.{m}": f"{s.extractor} {s.fingerprint}" for m, s in bundle.features.items()})
            mlflow.log_metrics(bundle.metrics)
            mlflow.log_text(card(bundle), CARD)
            mlflow.log_text(bundle.model_dump_json(indent=1), DESCRIPTION)
    except MlflowException as error:
        log.error("train: %s is not in MLflow at %s: %s", bundle.model_id, os.environ[_VARIABLE], error)


def _settings(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every setting by its path."""
    for name, value in config:
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
