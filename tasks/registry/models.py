"""Bundles of a workspace, and the pointer to the model in production.

The pointer also lists the models that were in production before, so that a rollback needs nothing else.
"""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError

from sdt_model.bundle import DESCRIPTION, WEIGHTS, Bundle
from sdt_model.config import Frozen
from tasks.archive.layout import MODELS, PRODUCTION, model_folder, name_of_description
from tasks.archive.leases import production_pointer
from tasks.archive.repair import reading
from tasks.config.stages import ExtractorNames
from tasks.errors import DamagedFile, StoreOut, WorkflowError
from tasks.registry.encoders import is_local
from tasks.registry.sums import SUMS, check_content, read_checked, read_sums, sums_of, wrong_files
from tasks.storage.lease import lease
from tasks.storage.sealed import read_sealed, write_sealed
from tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from sdt_model.model import SDT

log = logging.getLogger("sdt.models")

_REMEMBERED = 20  # earlier models in the pointer
_POINTER_LEASE_S = 60.0


class Term(Frozen):
    """A model's time in production."""

    model_id: str
    """The model."""
    since: datetime | None = None
    """When it was put there."""
    why: str = ""
    """Who or what put it there, in words."""


class Production(Term):
    """The content of `models/production.json`."""

    before: tuple[Term, ...] = Field(())
    """Models in production before it, the latest first."""
    withdrawn: tuple[str, ...] = ()
    """Models that a rollback took out of production; only `promote` by hand puts one back."""
    best: str | None = Field(None, exclude_if=lambda name: name is None)
    """A better model that was in production before, where the gate knows one: successors are compared with it, too."""


def write_bundle(workspace: Workspace, model_id: str, files: dict[str, bytes]) -> None:
    """Write a bundle's files in their order, with their hashes before the last one, which completes it."""
    folder = model_folder(model_id)
    *others, last = files.items()
    for name, content in (*others, (SUMS, sums_of(files)), last):
        workspace.write_bytes(f"{folder}/{name}", content)


def read_bundle(workspace: Workspace, model_id: str) -> Bundle | None:
    """Read the description of a bundle; None where there is no complete one.

    Raises:
        WorkflowError: it is damaged, no description, or that of another model.
    """
    folder = model_folder(model_id)
    path = f"{folder}/{DESCRIPTION}"
    if not workspace.exists(path):
        return None
    content = workspace.read_bytes(path)
    try:
        bundle = Bundle.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise WorkflowError(
            f"{workspace.uri(path)}: damaged, or no model's description: {where}: {first['msg']}\n"
            "  restore it, or remove the model's folder and train it again"
        ) from None
    if bundle.model_id != model_id:
        raise WorkflowError(
            f"{workspace.uri(path)}: describes a model called {bundle.model_id}\n"
            "  a model lies in the folder of its own name: move it there"
        )
    with reading(workspace, path):
        check_content(workspace, folder, DESCRIPTION, content, read_sums(workspace, folder, bundle.hashes))
    return bundle


def intact_bundle(workspace: Workspace, model_id: str) -> Bundle | None:
    """Read the description of a bundle of which every file is as it was written; None where there is none."""
    folder = model_folder(model_id)
    try:
        bundle = read_bundle(workspace, model_id)
        if bundle is None:
            return None
        wrong = wrong_files(workspace, folder, read_sums(workspace, folder, bundle.hashes))
        if not workspace.exists(f"{folder}/{WEIGHTS}"):
            wrong = {f"{folder}/{WEIGHTS}": "it is not there"}
    except StoreOut:
        raise
    except WorkflowError as error:
        log.warning("train: %s is made again: %s", model_id, error)
        return None
    for path, why in wrong.items():
        log.warning("train: %s is made again: %s", path, why)
    return None if wrong else bundle


def find_bundle(workspace: Workspace, model: str) -> Bundle:
    """Read the description of a bundle by its id, or by ``production``.

    Raises:
        WorkflowError: there is none; the message lists the models that exist.
    """
    model_id = production(workspace) if model == "production" else model
    bundle = read_bundle(workspace, model_id) if model_id is not None else None
    if bundle is None:
        raise WorkflowError(
            f"model {model!r} is not in {workspace.url}\n"
            f"  there: {', '.join(model_names(workspace)) or 'none'}\n"
            "  make one with: sdt train ARCHIVE"
        )
    return bundle


def bundles(workspace: Workspace, strict: bool = False) -> list[Bundle]:
    """Read the description of every complete bundle, by name.

    One that cannot be read is a line in the log; where it is ``strict``, as before something is removed, an error.
    """
    descriptions = []
    for model_id in model_names(workspace):
        try:
            descriptions.append(read_bundle(workspace, model_id))
        except StoreOut:
            raise
        except WorkflowError as error:
            if strict:
                raise
            log.warning("models: %s", error)
    return [bundle for bundle in descriptions if bundle is not None]


def check_encoders(bundle: Bundle) -> None:
    """Let a model name encoders that are on this machine, and no others: whoever made it has no say in what is fetched.

    Raises:
        WorkflowError: one would have to be fetched from the hub.
    """
    for modality, source in bundle.features.items():
        kind, _, base = source.extractor.partition("?")[0].partition(":")
        if kind == "hf" and not is_local(base):
            raise WorkflowError(
                f"model {bundle.model_id} takes {modality} features of {source.extractor}, which is not on this "
                f"machine\n  get it with `hf download {base}`, or allow that with --set fetch_encoders=true"
            )


def model_names(workspace: Workspace) -> list[str]:
    """List the complete models by name."""
    names = (name_of_description(path, DESCRIPTION) for path in workspace.files(MODELS))
    return sorted(name for name in names if name is not None)


def extractor_names(bundle: Bundle) -> ExtractorNames:
    """Return the extractors of the features that a model reads, and their storage."""
    names = {modality: source.extractor for modality, source in bundle.features.items()}
    # Precomputed features are stored as float32, whatever the storage of the others.
    halved = any(source.storage == "float16" for source in bundle.features.values())
    return ExtractorNames.model_validate({**names, "storage": "float16" if halved else "float32"})


def read_network(workspace: Workspace, bundle: Bundle) -> "SDT":
    """Load the trained network of a bundle.

    Raises:
        WorkflowError: its weights are damaged, gone, no numbers, or not those that are described.
    """
    from sdt_model.weights import load_network  # torch takes seconds to import, and descriptions need none of it

    folder = model_folder(bundle.model_id)
    path = f"{folder}/{WEIGHTS}"
    with reading(workspace, path):
        weights = read_checked(workspace, folder, WEIGHTS, read_sums(workspace, folder, bundle.hashes))
    try:
        return load_network(bundle, weights)
    except (ValueError, SafetensorError) as error:
        raise WorkflowError(
            f"{workspace.uri(path)}: {error}\n  remove the model's folder and train it again, or use another model"
        ) from error


def read_production(workspace: Workspace) -> Production | None:
    """Read the pointer to the model in production; None where there has never been one.

    Raises:
        DamagedFile: it is not what was written.
    """
    try:
        return read_sealed(workspace, PRODUCTION, Production)
    except DamagedFile as error:
        raise error.with_repair("sdt promote ID; sdt models lists them") from error


def production(workspace: Workspace) -> str | None:
    """Return the id of the model in production; None where there is none."""
    pointer = read_production(workspace)
    return pointer.model_id if pointer else None


def promote(
    workspace: Workspace,
    model_id: str,
    why: str = "by hand",
    best: str | None = None,
    instead_of: Production | Literal["any"] | None = "any",
) -> Production:
    """Put a model into production, in one step.

    Args:
        workspace: holds the model.
        model_id: a model that is in production already stays as it is.
        why: who or what decided so, in words.
        best: a better one that was in production before, if it was compared with one.
        instead_of: the pointer as it was read for the decision, None where there was none; `any`: whatever it is now.

    Raises:
        WorkflowError: there is no such model, or another one went into production since ``instead_of`` was read.
    """
    with lease(workspace, production_pointer(), _POINTER_LEASE_S):
        current = _replaced(workspace) if instead_of == "any" else read_production(workspace)
        if instead_of != "any" and current != instead_of:
            now = current.model_id if current else "no model"
            raise WorkflowError(
                f"{workspace.uri(PRODUCTION)} was changed since it was read: {now} is in production now\n"
                f"  nothing was promoted; run the same command again to decide anew about {model_id}"
            )
        return _promote(workspace, current, model_id, why, best)


def _replaced(workspace: Workspace) -> Production | None:
    """The pointer that is replaced; a damaged one is none, and what it remembered is lost."""
    try:
        return read_production(workspace)
    except DamagedFile as error:
        log.warning("%s; it is written anew, and which models were in production before is lost", error)
        return None


def _promote(workspace: Workspace, current: Production | None, model_id: str, why: str, best: str | None) -> Production:
    if current is not None and current.model_id == model_id:
        return current
    find_bundle(workspace, model_id)
    before: tuple[Term, ...] = ()
    withdrawn: tuple[str, ...] = ()
    if current is not None:
        term = Term.model_validate(current.model_dump(include=set(Term.model_fields)))
        before = (term, *current.before)[:_REMEMBERED]
        withdrawn = tuple(name for name in current.withdrawn if name != model_id)
    return _point(
        workspace,
        Production(model_id=model_id, since=_now(), why=why, before=before, withdrawn=withdrawn, best=best),
    )


def rollback(workspace: Workspace) -> Production:
    """Put the previous model back into production; training will not promote the one it replaces again.

    Raises:
        WorkflowError: there was no model before, or it was removed.
    """
    with lease(workspace, production_pointer(), _POINTER_LEASE_S):
        return _roll_back(workspace)


def _roll_back(workspace: Workspace) -> Production:
    current = read_production(workspace)
    if current is None or not current.before:
        raise WorkflowError(
            f"{workspace.uri(PRODUCTION)} names no earlier model to go back to\n"
            "  see the models with: sdt models; put one into production with: sdt promote ID"
        )
    previous, *rest = current.before
    find_bundle(workspace, previous.model_id)
    why = f"rolled back from {current.model_id}"
    withdrawn = (current.model_id, *current.withdrawn)[:_REMEMBERED]
    return _point(
        workspace,
        Production(model_id=previous.model_id, since=_now(), why=why, before=tuple(rest), withdrawn=withdrawn),
    )


def _point(workspace: Workspace, pointer: Production) -> Production:
    write_sealed(workspace, PRODUCTION, pointer.model_dump(mode="json"))
    return pointer


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
