"""What is shown of the models in a workspace: the list of all, and which one labels by default."""

from collections.abc import Iterable

from flows.reports.markdown import table, together
from sdt_model.bundle import Bundle
from sdt_model.metrics.scores import PRIMARY, SCORES
from tasks.registry.models import Production, bundles, read_production
from tasks.storage.workspace import Workspace

_COLUMNS = (("dev", PRIMARY), *(("test", name) for name in SCORES))


def models_page(workspace: Workspace) -> str:
    """Every model with its scores, what it takes and what it was made from; the one in production is marked."""
    models = bundles(workspace)
    if not models:
        return f"no model in {workspace.url}\nmake one with: sdt train ARCHIVE"
    header = (
        "model",
        "production",
        *(f"{split} {SCORES[name].label}" for split, name in _COLUMNS),
        "calibration error",
        "takes",
        "data",
        "code",
    )
    pointer = read_production(workspace)
    return together([table(header, rows(models, pointer)), production_line(pointer)])


def rows(models: Iterable[Bundle], pointer: Production | None) -> Iterable[tuple[str, ...]]:
    """One for each model."""
    earlier = [term.model_id for term in pointer.before] if pointer else []
    for bundle in models:
        current = pointer is not None and pointer.model_id == bundle.model_id
        place = (
            "now" if current else f"before, {earlier.index(bundle.model_id) + 1}" if bundle.model_id in earlier else ""
        )
        scores = (SCORES[name].text(bundle.metrics.get(f"{split}_{name}")) for split, name in _COLUMNS)
        error = bundle.metrics.get("test_ece_after")
        takes = ", ".join(f"{modality}: {source.extractor}" for modality, source in bundle.features.items())
        data, sure = f"{bundle.archive} {bundle.data_fingerprint}", "" if error is None else f"{error:.4f}"
        yield bundle.model_id, place, *scores, sure, takes, data, bundle.code


def production_line(pointer: Production | None) -> str:
    """Which model is in production, since when, and why."""
    if pointer is None:
        return "None is in production; `sdt promote ID` puts one there"
    since = f" since {pointer.since:%Y-%m-%d %H:%M} UTC" if pointer.since else ""
    because = f" ({pointer.why})" if pointer.why else ""
    return f"In production{since}: {pointer.model_id}{because}"
