"""Visual vectors of tiny vision encoders, from real videos."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.extractors.base import Extracted
from tasks.extractors.hf.options import VisualOptions
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.visual import hf as hf_visual
from tasks.extractors.visual.hf import HfVisual
from tests.fixtures import media as made
from tests.fixtures.encoders.pretrained import FACE, WIDTH, tiny_detector, tiny_resnet, tiny_vit
from tests.fixtures.media import utterances, write_sound, write_video

ROWS: list[dict[str, object]] = [
    {"video": "x.mp4"}, {"video": "x.mp4", "start_s": 1.0, "end_s": 1.6}, {"video": "none.mp4"}, {"text": "only"},
    {"video": "x.mkv", "start_s": 0.5, "end_s": 3.0},
]  # fmt: skip


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> MediaRoot:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("x.mp4", "x.mkv"):
        write_video(folder / name, seconds=4)
    return MediaRoot(str(folder))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("encoders")
    tiny_detector(folder / "face.onnx")
    return {"vit": tiny_vit(folder / "vit"), "resnet": tiny_resnet(folder / "resnet"), "face": folder / "face.onnx"}


def see(
    folder: Path, media: MediaRoot, *rows: dict[str, object], dtype: str | None = None, **options: str
) -> Extracted:
    return HfVisual(folder, VisualOptions.model_validate(options), dtype)(utterances(*rows), media)


def by_hand(folder: Path, path: Path, numbers: list[int], pooling: str = "mean") -> NDArray[np.float32]:
    """Mean and deviation of these frames' states, counted while the whole file is decoded."""
    from transformers import AutoImageProcessor, AutoModel

    processor, model = (
        AutoImageProcessor.from_pretrained(folder, backend="pil"),
        AutoModel.from_pretrained(folder).eval(),
    )
    with av.open(str(path)) as opened:
        pictures = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    with torch.inference_mode():
        states = model(**processor([pictures[n] for n in numbers], return_tensors="pt")).last_hidden_state
    pooled = states.mean(dim=(2, 3)) if states.dim() == 4 else states[:, 0] if pooling == "cls" else states.mean(dim=1)
    return np.concatenate([pooled.mean(dim=0).numpy(), pooled.std(dim=0, correction=0).numpy()])


@pytest.mark.long
@pytest.mark.parametrize(("kind", "pooling"), [("vit", "mean"), ("vit", "cls"), ("resnet", "mean")])
def test_mean_and_deviation_over_frames_whatever_the_company(
    encoders: dict[str, Path], media: MediaRoot, kind: str, pooling: str
) -> None:
    folder = encoders[kind]
    together = see(folder, media, *ROWS, pooling=pooling)
    assert together.vectors.shape == (len(ROWS), 2 * WIDTH)
    assert together.valid.tolist() == [True, True, False, False, True]
    assert together.reasons == [None, None, "no such file", None, None]
    for row, numbers in ((0, list(range(0, 32, 2))), (1, [8, 10, 12])):
        expected = by_hand(folder, Path(media.url) / "x.mp4", numbers, pooling)
        assert np.abs(together.vectors[row] - expected).max() < 1e-4
    for row in np.flatnonzero(together.valid):
        assert np.abs(see(folder, media, ROWS[row], pooling=pooling).vectors[0] - together.vectors[row]).max() < 1e-5
    assert np.abs(together.vectors[0] - together.vectors[1]).max() > 1e-3


def test_frames_come_at_the_stated_rate(encoders: dict[str, Path], media: MediaRoot) -> None:
    path = Path(media.url) / "x.mp4"
    for options, numbers in (
        ({"fps": "1"}, [0, 8, 16, 24]),
        ({"fps": "8", "frames": "64"}, list(range(32))),
        ({"fps": "8", "frames": "2"}, [0, 16]),
    ):
        found = see(encoders["vit"], media, {"video": "x.mp4"}, **options).vectors[0]
        assert np.abs(found - by_hand(encoders["vit"], path, numbers)).max() < 1e-4


def test_batches_of_any_size_give_the_same(
    encoders: dict[str, Path], media: MediaRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = see(encoders["resnet"], media, *ROWS)
    monkeypatch.setattr(hf_visual, "_BATCH", 3)
    assert np.abs(see(encoders["resnet"], media, *ROWS).vectors - whole.vectors).max() < 1e-5


def test_what_cannot_be_seen_says_why(encoders: dict[str, Path], media: MediaRoot) -> None:
    write_sound(Path(media.url) / "sound.mp4", made.sound())
    found = see(encoders["vit"], media, {"video": "sound.mp4"}, {"video": "x.mp4", "start_s": 1.01, "end_s": 1.02})
    assert found.reasons == ["no video track", "no frame in the span from 1.01 s"] and not found.valid.any()


def test_half_precision_is_close(encoders: dict[str, Path], media: MediaRoot) -> None:
    half = see(encoders["vit"], media, *ROWS, dtype="float16")
    assert np.abs(half.vectors - see(encoders["vit"], media, *ROWS).vectors).max() < 0.05


def write_colours(path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    """Pictures (H, W, 3), `FRAME_RATE` of them a second, colours as they are."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=made.FRAME_RATE)
        stream.pix_fmt, (stream.height, stream.width) = "bgr0", pictures[0].shape[:2]
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def scene(left: int | None, background: int) -> NDArray[np.uint8]:
    """A face at a place, or none, before a background of some grey."""
    picture = np.full((128, 192, 3), background, np.uint8)
    if left is not None:
        picture[32 : 32 + FACE, left : left + FACE] = (250, 10, 10)
    return picture


def test_the_face_is_described_and_not_what_is_around_it(encoders: dict[str, Path], tmp_path: Path) -> None:
    frames = made.FRAME_RATE
    write_colours(tmp_path / "here.mkv", [scene(0, 20)] * frames)
    write_colours(tmp_path / "there.mkv", [scene(96, 20)] * frames)
    write_colours(tmp_path / "now and then.mkv", [scene(None, 200), scene(96, 20)] * (frames // 2))
    write_colours(tmp_path / "nobody.mkv", [scene(None, 20)] * frames)
    media = MediaRoot(str(tmp_path))
    rows = [{"video": f"{name}.mkv"} for name in ("here", "there", "nobody", "now and then")]
    whole = see(encoders["vit"], media, *rows)
    assert whole.valid.all() and np.abs(whole.vectors[0] - whole.vectors[1]).max() > 0.01
    cut = see(encoders["vit"], media, *rows, face=str(encoders["face"]), fps="8")
    assert cut.valid.tolist() == [True, True, False, True] and cut.reasons[2] == "no face found"
    assert cut.reasons[3] == "no face found in 4 of 8 frames"
    assert np.abs(cut.vectors[3] - cut.vectors[1]).max() < 1e-5
    assert (
        np.abs(see(encoders["vit"], media, rows[1], face=str(encoders["face"])).vectors - cut.vectors[1]).max() < 1e-5
    )
