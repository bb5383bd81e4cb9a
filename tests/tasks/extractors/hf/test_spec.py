"""Pretrained encoders by name: what their specs say, fingerprints by content, and names that are refused."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest

from sdt_model.config import Modality
from tasks.errors import WorkflowError
from tasks.extractors.base import ExtractorSpec
from tasks.extractors.hf.options import TextOptions
from tasks.extractors.hf.spec import Chosen
from tasks.extractors.registry import extractor_spec
from tests.fixtures.encoders.pretrained import WIDTH, tiny_detector, tiny_resnet, tiny_speech, tiny_text, tiny_vit

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    tiny_text(folder / "text")
    tiny_speech(folder / "speech")
    tiny_vit(folder / "vit")
    tiny_resnet(folder / "resnet")
    tiny_detector(folder / "face.onnx")
    return folder


def text(tiny: Path, rest: str = "") -> ExtractorSpec:
    return extractor_spec("text", f"hf:{tiny}/text{rest}")


@pytest.mark.long
def test_dimension_licence_and_resources_without_the_weights(tiny: Path) -> None:
    assert (text(tiny).dim, text(tiny).modality, text(tiny).name) == (WIDTH, "text", f"hf:{tiny}/text")
    assert extractor_spec("audio", f"hf:{tiny}/speech").dim == 2 * WIDTH
    assert (
        extractor_spec("visual", f"hf:{tiny}/vit").dim == extractor_spec("visual", f"hf:{tiny}/resnet").dim == 2 * WIDTH
    )
    assert text(tiny).licence == f"that of {tiny}/text"
    assert (text(tiny).resources.cpus, text(tiny).resources.memory_gb) == (1, 1.0)
    assert extractor_spec("text", "hf:minilm").resources.memory_gb == pytest.approx(1.2)
    assert extractor_spec("text", "hf:minilm").licence == "Apache-2.0"


@pytest.mark.parametrize(("modality", "name"), [("text", "text"), ("audio", "speech"), ("visual", "vit")])
def test_the_loader_is_the_modality_s(tiny: Path, modality: Modality, name: str) -> None:
    module, function = extractor_spec(modality, f"hf:{tiny}/{name}").loader.split(":")
    assert callable(getattr(import_module(module), function)) and f".{modality}." in module


def test_the_licence_is_the_model_card_s(tmp_path: Path) -> None:
    tiny_text(tmp_path / "t")
    (tmp_path / "t" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# A model\n")
    assert extractor_spec("text", f"hf:{tmp_path}/t").licence == "cc-by-nc-4.0"


def test_the_fingerprint_follows_content_and_options_and_not_the_place(tiny: Path, tmp_path: Path) -> None:
    spec = text(tiny)
    shutil.copytree(tiny / "text", tmp_path / "moved")
    moved = extractor_spec("text", f"hf:{tmp_path}/moved")
    assert moved.fingerprint == spec.fingerprint == text(tiny, "?pooling=mean&layers=1").fingerprint
    others = [text(tiny, rest).fingerprint for rest in ("?pooling=cls", "?layers=2", "?tokens=16")]
    tiny_text(tmp_path / "moved", seed=1)
    others.append(extractor_spec("text", f"hf:{tmp_path}/moved").fingerprint)
    assert len({spec.fingerprint, *others}) == 5
    with pytest.raises(WorkflowError, match=r"is another one in .*moved than where the work was planned"):
        moved.load()


def test_a_face_detector_counts_by_its_content(tiny: Path, tmp_path: Path) -> None:
    def spec(options: str) -> ExtractorSpec:
        return extractor_spec("visual", f"hf:{tiny}/vit{options}")

    shutil.copy(tiny / "face.onnx", tmp_path / "other name.onnx")
    assert spec(f"?face={tiny}/face.onnx").fingerprint == spec(f"?face={tmp_path}/other name.onnx").fingerprint
    assert spec(f"?face={tiny}/face.onnx").fingerprint != spec("").fingerprint != spec("?fps=2").fingerprint
    with pytest.raises(WorkflowError, match=r"there is no face detector .*/nowhere"):
        spec("?face=nowhere.onnx")


def test_tokens_are_as_many_as_there_are_positions(tiny: Path) -> None:
    assert Chosen[TextOptions].model_validate_json(text(tiny).argument).options.tokens == 62
    minilm = extractor_spec("text", "hf:minilm").argument
    assert Chosen[TextOptions].model_validate_json(minilm).options.tokens == 512
    with pytest.raises(WorkflowError, match="tokens=63, and the encoder has 62 positions"):
        text(tiny, "?tokens=63")


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("?poling=cls", r"poling: Extra inputs.*\n  options of text encoders: pooling, layers, tokens"),
        ("?pooling=max", "pooling: Input should be 'mean' or 'cls'"),
        ("?layers=0", "layers: Input should be greater than or equal to 1"),
        ("?layers=4", "layers=4, and the encoder has 3"),
        ("?cls", "'cls' is not option=value"),
        ("/nowhere", "neither minilm, nor a folder, nor a hub id"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused(tiny: Path, rest: str, said: str) -> None:
    with pytest.raises(WorkflowError, match=f"(?s){said}"):
        text(tiny, rest)


def test_a_class_token_of_a_convolutional_encoder_is_refused(tiny: Path) -> None:
    with pytest.raises(WorkflowError, match="a convolutional encoder has no state for the whole"):
        extractor_spec("visual", f"hf:{tiny}/resnet?pooling=cls")


@pytest.mark.parametrize("modality", ["text", "audio", "visual"])
def test_an_encoder_of_another_modality_is_refused(tiny: Path, modality: str) -> None:
    for name in {"text": ("speech", "vit"), "audio": ("text", "vit"), "visual": ("text", "speech")}[modality]:
        with pytest.raises(WorkflowError, match=f"cannot be used on {modality}: "):
            extractor_spec(modality, f"hf:{tiny}/{name}")  # type: ignore[arg-type]


@pytest.mark.parametrize("modality", ["text", "visual"])
def test_what_is_more_than_an_encoder_is_refused(tiny: Path, tmp_path: Path, modality: Modality) -> None:
    from transformers import CLIPConfig, T5Config

    shutil.copytree(tiny / "text", tmp_path / "t")
    config = T5Config(d_model=16, d_ff=32, num_layers=1, num_heads=2) if modality == "text" else CLIPConfig()
    config.save_pretrained(tmp_path / "t")
    with pytest.raises(WorkflowError, match="does not encode"):
        extractor_spec(modality, f"hf:{tmp_path}/t")


def test_without_a_tokenizer_it_cannot_read(tmp_path: Path) -> None:
    tiny_text(tmp_path / "t")
    for path in tmp_path.glob("t/*"):
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    with pytest.raises(WorkflowError, match=r"cannot be used on text: .* has no tokenizer"):
        extractor_spec("text", f"hf:{tmp_path}/t")


def test_weights_of_another_model_are_refused_and_not_made_up(tiny: Path, tmp_path: Path) -> None:
    from transformers import BertConfig

    shutil.copytree(tiny / "text", tmp_path / "t")
    BertConfig(vocab_size=90, hidden_size=16, num_hidden_layers=5, num_attention_heads=2, intermediate_size=32,
               pad_token_id=0).save_pretrained(tmp_path / "t")  # fmt: skip
    with pytest.raises(WorkflowError, match=r"lacks .* weights of BertModel"):
        extractor_spec("text", f"hf:{tmp_path}/t").load()


def test_hf_needs_a_name() -> None:
    for name in ("hf", "hf:", "hf:?pooling=cls"):
        with pytest.raises(WorkflowError, match=r"names no encoder|no text extractor"):
            extractor_spec("text", name)


def cache(root: Path, hub_id: str, folder: Path) -> None:
    """A folder as the hub's client keeps it."""
    place = root / f"models--{hub_id.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, place / "snapshots" / ("0" * 40))


def test_a_hub_id_is_found_in_the_local_cache_or_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WorkflowError, match=r"(?s)'some/encoder' is no local folder.*hf download some/encoder"):
        extractor_spec("text", "hf:some/encoder")
    cache(tmp_path, "some/encoder", tiny / "text")
    spec = extractor_spec("text", "hf:some/encoder?layers=2")
    assert spec.fingerprint == text(tiny, "?layers=2").fingerprint and spec.licence == "that of some/encoder"
