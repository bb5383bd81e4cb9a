"""Pretrained encoders by name: ``hf:<folder or hub id>?option=value&option=value``, for every modality.

A spec is made without reading the weights; `text.hf`, `audio.hf` and `visual.hf` run the encoder. The fingerprint
covers the content of its files and all options: a folder may move, and another encoder under the same name is
another extractor.
"""

from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError

from sdt_model.config import Frozen, Modality
from tasks.config.stages import Resources
from tasks.errors import WorkflowError
from tasks.extractors.base import ExtractorSpec
from tasks.extractors.hf.options import OPTIONS, EncoderOptions, VisualOptions
from tasks.extractors.visual.faces import detector_file
from tasks.registry.encoders import base_files, base_folder, licence
from tasks.storage.manifest import fingerprint

CODE_VERSION = 1

Options = TypeVar("Options", bound=EncoderOptions)


class Chosen(Frozen, Generic[Options]):
    """An encoder as a spec hands it to a worker."""

    base: str
    """Folder or hub id."""
    content: str
    """Fingerprint of the encoder's files when the work was planned."""
    options: Options
    """How to use it."""

    def folder(self) -> Path:
        """Find the encoder's folder on this machine.

        Raises:
            WorkflowError: the encoder is not here, or its files differ from those of the plan.
        """
        folder = base_folder(self.base)
        if fingerprint(_files(folder, self.options)) != self.content:
            raise WorkflowError(
                f"encoder {self.base!r} is another one in {folder} than where the work was planned\n"
                "  give every node the same files"
            )
        return folder


def spec_of(modality: Modality, argument: str) -> ExtractorSpec:
    """Describe a pretrained encoder; ``argument`` is what follows ``hf:``.

    Raises:
        WorkflowError: there is no such encoder, it is not one of this modality, or it cannot follow an option.
    """
    name, (base, _, query) = f"hf:{argument}", argument.partition("?")
    if not base:
        raise WorkflowError(f"{name} names no encoder\n  write hf:FOLDER or hf:HUB-ID, such as hf:roberta-large")
    parsed, folder = _parsed(name, modality, query), base_folder(base)
    options, dim = _settled(name, modality, parsed, folder)
    files = _files(folder, options)
    local = Path(base).expanduser()
    chosen = Chosen[EncoderOptions](
        base=str(local.resolve()) if local.is_dir() else base, content=fingerprint(files), options=options
    )
    packages = (*options.packages, *(["opencv-python-headless"] if "face" in files else []))
    return ExtractorSpec(
        name, modality, dim, licence(folder, base), CODE_VERSION, packages, f"tasks.extractors.{modality}.hf:load",
        chosen.model_dump_json(serialize_as_any=True), _resources(folder),
        identity=fingerprint("hf", modality, files, options.model_dump(mode="json", exclude={"face"})),
    )  # fmt: skip


def _parsed(name: str, modality: Modality, query: str) -> EncoderOptions:
    kind = OPTIONS[modality]
    try:
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query))
        return kind.model_validate(dict(pairs))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    except ValueError:
        wrong = f"{query!r} is not option=value&option=value"
    raise WorkflowError(f"{name}: {wrong}\n  options of {modality} encoders: {', '.join(kind.model_fields)}")


def _settled(name: str, modality: Modality, parsed: EncoderOptions, folder: Path) -> tuple[EncoderOptions, int]:
    """Settle the options for this encoder and the length of its vectors, having checked that it reads the modality."""
    from sdt_model.text_encoder.encoder import blank_body

    try:
        body: Any = blank_body(folder)
        if body.main_input_name not in parsed.inputs or body.config.is_encoder_decoder:
            raise ValueError(f"a {type(body).__name__} does not encode {modality} alone")
        _check_preprocessor(modality, folder)
        return parsed.settled(body), parsed.dim(body.config)
    except (OSError, ValueError, ImportError) as error:
        raise WorkflowError(f"{name} cannot be used on {modality}: {error}") from error


def _check_preprocessor(modality: Modality, folder: Path) -> None:
    """Load what prepares the encoder's input, which has to lie beside it."""
    from transformers import AutoFeatureExtractor, AutoImageProcessor

    from sdt_model.text_encoder.encoder import Tokenizer

    load = {
        "text": Tokenizer,
        "audio": AutoFeatureExtractor.from_pretrained,
        "visual": AutoImageProcessor.from_pretrained,
    }
    load[modality](folder)


def _files(folder: Path, options: EncoderOptions) -> dict[str, str]:
    """Hash all files that decide a vector, by name (sha256)."""
    files = base_files(folder)
    if isinstance(options, VisualOptions) and options.face is not None:
        files["face"] = detector_file(options.face)
    return files


def _resources(folder: Path) -> Resources:
    """Ask for one core, and memory for the weights, for a second copy while they are read, and for the libraries."""
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return Resources(memory_gb=round(1 + 2 * weights / 1e9, 1))
