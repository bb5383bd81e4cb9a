"""Bundles in the workspace, and the pointer to the one in production."""

from sdt_model.bundle import DESCRIPTION, WEIGHTS, Bundle, load_network
from sdt_model.model import SDT
from tasks.errors import WorkflowError
from tasks.workspace import Workspace, checked_name

PRODUCTION = "models/production.json"


def write_bundle(workspace: Workspace, model_id: str, files: dict[str, bytes]) -> None:
    """Write a bundle's files in their order; the last one completes it."""
    for name, content in files.items():
        workspace.write_bytes(f"models/{checked_name(model_id, 'model')}/{name}", content)


def read_bundle(workspace: Workspace, model_id: str) -> Bundle | None:
    """The description of a bundle, or None where there is no whole one."""
    path = f"models/{checked_name(model_id, 'model')}/{DESCRIPTION}"
    return Bundle.model_validate_json(workspace.read_bytes(path)) if workspace.exists(path) else None


def find_bundle(workspace: Workspace, model: str) -> Bundle:
    """The bundle of a model id, or of the one in production.

    Raises:
        WorkflowError: there is none; names those that there are.
    """
    model_id = production(workspace) if model == "production" else model
    bundle = read_bundle(workspace, model_id) if model_id is not None else None
    if bundle is None:
        there = sorted({path.split("/")[1] for path in workspace.files("models") if path.endswith(f"/{DESCRIPTION}")})
        raise WorkflowError(
            f"model {model!r} is not in {workspace.url}\n"
            f"  there: {', '.join(there) or 'none'}\n"
            "  make one with: sdt train ARCHIVE"
        )
    return bundle


def read_network(workspace: Workspace, bundle: Bundle) -> SDT:
    """The trained network of a bundle."""
    return load_network(bundle, workspace.read_bytes(f"models/{bundle.model_id}/{WEIGHTS}"))


def production(workspace: Workspace) -> str | None:
    """The id of the model in production."""
    return str(workspace.read_json(PRODUCTION)["model_id"]) if workspace.exists(PRODUCTION) else None


def promote(workspace: Workspace, model_id: str) -> None:
    """Put a model into production, in one step."""
    if production(workspace) != model_id:
        workspace.write_json(PRODUCTION, {"model_id": model_id})
