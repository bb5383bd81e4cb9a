"""Face crops, with a real network of YuNet's form that takes red squares for faces."""

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import WorkflowError
from tasks.extractors.visual.faces import FaceCrop, detector_file
from tests.fixtures.encoders.pretrained import FACE, tiny_detector


@pytest.fixture(scope="module")
def crop(tmp_path_factory: pytest.TempPathFactory) -> FaceCrop:
    return FaceCrop(str(tiny_detector(tmp_path_factory.mktemp("faces") / "face.onnx")))


def picture(height: int, width: int, top: int, left: int, side: int = FACE) -> np.ndarray:
    found = np.full((height, width, 3), 40, np.uint8)
    found[top : top + side, left : left + side] = (250, 10, 10)
    return found


def redness(cut: np.ndarray | None) -> float:
    assert cut is not None
    return float((cut[..., 0] == 250).mean())


@pytest.mark.parametrize(
    ("height", "width", "top", "left"), [(192, 192, 64, 64), (160, 224, 32, 96), (130, 190, 32, 64)]
)
def test_the_crop_is_a_square_around_the_face(crop: FaceCrop, height: int, width: int, top: int, left: int) -> None:
    cut = crop(picture(height, width, top, left))
    assert cut is not None and abs(cut.shape[0] - cut.shape[1]) <= 1
    assert FACE <= cut.shape[0] <= 1.5 * FACE and redness(cut) > 0.5


def test_a_face_at_the_edge_is_cut_where_the_picture_ends(crop: FaceCrop) -> None:
    cut = crop(picture(128, 128, 0, 0))
    assert cut is not None and min(cut.shape[:2]) > FACE / 2 and redness(cut) > 0.5


def test_in_a_large_picture_the_crop_has_its_own_pixels(crop: FaceCrop) -> None:
    cut = crop(picture(1280, 1280, 256, 512, side=2 * FACE))
    assert cut is not None and cut.shape[0] >= 2 * FACE and redness(cut) > 0.5


def test_no_face_is_none(crop: FaceCrop) -> None:
    assert crop(picture(128, 128, 0, 0, side=0)) is None
    assert crop(np.zeros((16, 16, 3), np.uint8)) is None


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(WorkflowError, match=r"x\.onnx is no face detector that OpenCV can read"):
        FaceCrop(str(tmp_path / "x.onnx"))


def test_without_opencv_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_detector(tmp_path / "face.onnx")
    assert len(detector_file(str(tmp_path / "face.onnx"))) == 64
    monkeypatch.setattr("tasks.extractors.visual.faces.find_spec", lambda _: None)
    with pytest.raises(WorkflowError, match="pip install opencv-python-headless"):
        detector_file(str(tmp_path / "face.onnx"))
