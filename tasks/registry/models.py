"""Bundles in the workspace, and the pointer to the one in production.

The pointer also holds the models that were in production before, so that a rollback needs nothing but it.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import Field

from sdt_model.bundle import DESCRIPTION, WEIGHTS, Bundle
from sdt_model.config import Frozen
from tasks.archive.layout import MODELS, PRODUCTION, model_folder, name_of_description
from tasks.config.stages import ExtractorNames
from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from sdt_model.model import SDT

_REMEMBERED = 20  # earlier models in the pointer


class Term(Frozen):
    """A model's time in production."""

    model_id: str
    """The model."""
    since: datetime | None = None
    """When it went there."""
    why: str = ""
    """Who or what put it there, in words."""


class Production(Term):
    """What `models/production.json` holds."""

    before: tuple[Term, ...] = Field(())
    """The ones it replaced, the latest first."""
    withdrawn: tuple[str, ...] = ()
    """Models that a rollback took out of production; only `promote` by hand puts one back."""


def write_bundle(workspace: Workspace, model_id: str, files: dict[str, bytes]) -> None:
    """Write a bundle's files in their order; the last one completes it."""
    for name, content in files.items():
        workspace.write_bytes(f"{model_folder(model_id)}/{name}", content)


def read_bundle(workspace: Workspace, model_id: str) -> Bundle | None:
    """The description of a bundle, or None where there is no whole one."""
    path = f"{model_folder(model_id)}/{DESCRIPTION}"
    return Bundle.model_validate_json(workspace.read_bytes(path)) if workspace.exists(path) else None


def find_bundle(workspace: Workspace, model: str) -> Bundle:
    """The bundle of a model id, or of the one in production.

    Raises:
        WorkflowError: there is none; names those that there are.
    """
    model_id = production(workspace) if model == "production" else model
    bundle = read_bundle(workspace, model_id) if model_id is not None else None
    if bundle is None:
        raise WorkflowError(
            f"model {model!r} is not in {workspace.url}\n"
            f"  there: {', '.join(_ids(workspace)) or 'none'}\n"
            "  make one with: sdt train ARCHIVE"
        )
    return bundle


def bundles(workspace: Workspace) -> list[Bundle]:
    """The description of every whole bundle, by name."""
    found = (read_bundle(workspace, model_id) for model_id in _ids(workspace))
    return [bundle for bundle in found if bundle is not None]


def _ids(workspace: Workspace) -> list[str]:
    names = (name_of_description(path, DESCRIPTION) for path in workspace.files(MODELS))
    return sorted(name for name in names if name is not None)


def extractor_names(bundle: Bundle) -> ExtractorNames:
    """The extractors that make what a model reads, and how they keep it."""
    names = {modality: made.extractor for modality, made in bundle.features.items()}
    # Features that an archive came with are kept in float32, whatever the others are.
    halved = any(made.storage == "float16" for made in bundle.features.values())
    return ExtractorNames.model_validate({**names, "storage": "float16" if halved else "float32"})


def read_network(workspace: Workspace, bundle: Bundle) -> "SDT":
    """The trained network of a bundle."""
    from sdt_model.weights import load_network  # torch takes seconds to import, and descriptions need none of it

    return load_network(bundle, workspace.read_bytes(f"{model_folder(bundle.model_id)}/{WEIGHTS}"))


def read_production(workspace: Workspace) -> Production | None:
    """The pointer to the model in production, or None where there has never been one."""
    return Production.model_validate(workspace.read_json(PRODUCTION)) if workspace.exists(PRODUCTION) else None


def production(workspace: Workspace) -> str | None:
    """The id of the model in production."""
    found = read_production(workspace)
    return found.model_id if found else None


def promote(workspace: Workspace, model_id: str, why: str = "by hand") -> Production:
    """Put a model into production, in one step.

    Raises:
        WorkflowError: there is no such model.
    """
    found = read_production(workspace)
    if found is not None and found.model_id == model_id:
        return found
    find_bundle(workspace, model_id)
    before = (Term.model_validate(found.model_dump(include=set(Term.model_fields))), *found.before) if found else ()
    withdrawn = tuple(name for name in found.withdrawn if name != model_id) if found else ()
    return _point(
        workspace,
        Production(model_id=model_id, since=_now(), why=why, before=before[:_REMEMBERED], withdrawn=withdrawn),
    )


def rollback(workspace: Workspace) -> Production:
    """Put the model back into production that was there before; training does not put the one it replaces there again.

    Raises:
        WorkflowError: no model was there before, or it was removed.
    """
    found = read_production(workspace)
    if found is None or not found.before:
        raise WorkflowError(
            f"{workspace.uri(PRODUCTION)} names no earlier model to go back to\n"
            "  see the models with: sdt models; put one into production with: sdt promote ID"
        )
    last, *rest = found.before
    find_bundle(workspace, last.model_id)
    why = f"rolled back from {found.model_id}"
    withdrawn = (found.model_id, *found.withdrawn)[:_REMEMBERED]
    return _point(
        workspace, Production(model_id=last.model_id, since=_now(), why=why, before=tuple(rest), withdrawn=withdrawn)
    )


def _point(workspace: Workspace, pointer: Production) -> Production:
    workspace.write_json(PRODUCTION, pointer.model_dump(mode="json"))
    return pointer


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
