"""Small sound and video files, made on the spot, utterances that name them, and a store that fails."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import soundfile
from fsspec.implementations.memory import MemoryFileSystem
from numpy.typing import NDArray

from tasks.schema import UTTERANCES

Samples = NDArray[np.float32]
CODECS = {".m4a": "aac", ".mp4": "aac", ".webm": "libopus", ".mkv": "pcm_s16le", ".mov": "pcm_s16le"}
PICTURE_CODECS = {".mp4": "libx264", ".mkv": "mpeg4", ".webm": "libvpx", ".ts": "libx264"}
FRAME_RATE = 8


def sound(seconds: float = 2.0, rate: int = 16_000, channels: int = 1, seed: int = 0) -> Samples:
    """Samples (N, channels): a gliding buzz with some noise, so that no two stretches sound alike."""
    chance = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 110 * (1 + 0.2 * seed) + 60 * time / max(seconds, 1e-9) + 15 * np.sin(2 * np.pi * 3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 9)) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    gains = np.linspace(0.25, 0.1, channels)
    return (buzz[:, None] * gains + 0.01 * chance.standard_normal((len(time), channels))).astype(np.float32)


def write_sound(path: Path, samples: Samples, rate: int = 16_000, subtype: str | None = None) -> Path:
    """Write samples (N, channels) in the format that the file's ending names."""
    if path.suffix not in CODECS:
        soundfile.write(path, samples, rate, subtype=subtype)
        return path
    with av.open(str(path), "w") as container:
        stream = container.add_stream(subtype or CODECS[path.suffix], rate=rate)
        stream.layout = "stereo" if samples.shape[1] == 2 else "mono"
        frame = av.AudioFrame.from_ndarray(samples.T.copy(), format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(
            stream.format, stream.layout, stream.rate, stream.codec_context.frame_size or 1024
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode())
    return path


def write_video(path: Path, seconds: float = 2.0, width: int = 96, height: int = 96) -> Path:
    """A pattern that turns with time, without a sound track."""
    return write_pictures(path, (picture(k / FRAME_RATE, width, height) for k in range(round(seconds * FRAME_RATE))))


def write_pictures(path: Path, pictures: Iterator[NDArray[np.uint8]]) -> Path:
    """Grey pictures (H, W) or coloured ones (H, W, 3), `FRAME_RATE` of them a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(PICTURE_CODECS[path.suffix], rate=FRAME_RATE, options={"threads": "1"})
        stream.pix_fmt = "yuv420p"
        for index, values in enumerate(pictures):
            if not index:
                stream.height, stream.width = values.shape[:2]
            kind = "gray" if values.ndim == 2 else "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format=kind)))
        container.mux(stream.encode())
    return path


def write_numbered(path: Path, count: int) -> Path:
    """Pictures that hold their own number, below 64, as six black or white stripes."""
    stripes = np.repeat(np.arange(6), 16)
    return write_pictures(path, (np.tile(np.uint8(30 + 190 * (n >> stripes & 1)), (64, 1)) for n in range(count)))


def number_of(frame: av.VideoFrame) -> int:
    """The number in a decoded frame of `write_numbered`."""
    grey = frame.reformat(format="gray").to_ndarray()
    return sum(int(grey[:, 16 * k + 4 : 16 * k + 12].mean() > 128) << k for k in range(6))


def picture(time: float, width: int, height: int) -> NDArray[np.uint8]:
    """Stripes whose direction says what time it is."""
    y, x = np.mgrid[:height, :width]
    return (128 + 100 * np.sin((x * np.cos(time) + y * np.sin(time)) / 4)).astype(np.uint8)


def utterances(*rows: dict[str, object]) -> pa.Table:
    """Rows of the canonical schema, with nothing in the columns that are not given."""
    named = [{"conversation_id": "c", "turn": turn, **row} for turn, row in enumerate(rows)]
    return pa.Table.from_pylist(named, schema=UTTERANCES)


class BrokenStore(MemoryFileSystem):
    """A store that gives the first part of a file and then fails."""

    protocol = "broken"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("broken://", "memory://"))

    def _open(self, *args: Any, **kwargs: Any) -> Any:
        return BrokenFile(super()._open(*args, **kwargs).getvalue())


class BrokenFile:
    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def __enter__(self) -> "BrokenFile":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, size: int = -1) -> bytes:
        if self._at >= len(self._content) // 3:
            raise OSError("the store is gone")
        begin, self._at = self._at, self._at + size
        return self._content[begin : self._at]

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, len(self._content))[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at
