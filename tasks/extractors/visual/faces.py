"""Cropping the largest face of a picture with OpenCV's YuNet, whose weights the user brings as an ONNX file."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.errors import WorkflowError

Picture = npt.NDArray[np.uint8]
_LONGEST = 640  # pixels; a larger picture is scaled down before the detection
_CONFIDENCE = 0.7
_MARGIN = 1.2  # side of the crop, in longer sides of the face


def detector_file(path: str) -> str:
    """Hash a detector's file (sha256).

    Raises:
        WorkflowError: there is no such file, or OpenCV is not installed.
    """
    if find_spec("cv2") is None:
        raise WorkflowError("a face crop needs OpenCV\n  install it with: pip install opencv-python-headless")
    file = Path(path).expanduser()
    if not file.is_file():
        raise WorkflowError(f"there is no face detector {path}\n  face= takes the ONNX file of OpenCV's YuNet")
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


class FaceCrop:
    """Detector that cuts the largest face out of a picture."""

    def __init__(self, path: str) -> None:
        import cv2

        cv2.setNumThreads(1)  # the worker asked for no more
        try:
            self._detector = cv2.FaceDetectorYN.create(path, "", (320, 320), _CONFIDENCE)
        except cv2.error as error:
            raise WorkflowError(f"{path} is no face detector that OpenCV can read: {error}") from error

    def __call__(self, picture: Picture) -> Picture | None:
        """Crop an RGB picture (H, W, 3) to a square around its largest face, clipped at the edges; None without one."""
        import cv2

        height, width = picture.shape[:2]
        scale = min(1.0, _LONGEST / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture
        self._detector.setInputSize(size)
        _, faces = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if faces is None:
            return None
        left, top, wide, high = max((face[:4] / scale for face in faces), key=lambda box: box[2] * box[3])
        half = _MARGIN * max(wide, high) / 2
        x, y = left + wide / 2, top + high / 2
        rows = slice(max(0, round(y - half)), max(0, round(y + half)))
        columns = slice(max(0, round(x - half)), max(0, round(x + half)))
        crop = picture[rows, columns]
        return crop if crop.size else None
