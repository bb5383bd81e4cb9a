"""An extractor that aborts or hangs on marked files, as a decoder written in C may."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.extractors import Extracted, Extractor, ExtractorSpec, register
from tasks.extractors.each import SOUND, read_each
from tasks.extractors.media import MediaFile, MediaRoot, Span

DIM = 2
SPEC = ExtractorSpec("faulty", "audio", DIM, "none", 1, ("numpy",), f"{__name__}:load")


def install() -> None:
    register("audio", "faulty", lambda argument: replace(SPEC, name=f"faulty:{argument}", argument=argument))


def load(argument: str) -> Extractor:
    return Faulty(argument)


class Faulty:
    """The file's size and the stretch's beginning."""

    def __init__(self, argument: str) -> None:
        self._argument = argument

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        found = Extracted.none(utterances.num_rows, DIM)
        for row, vector in read_each(utterances, SOUND, media, self._read, found):
            found.put(row, vector)
        return found

    def _read(self, file: MediaFile, uri: str, stretch: Span) -> np.ndarray:
        with file.decoder(lambda: _Content(file), keep=True) as opened:
            content = opened.content
        if content.startswith(b"abort"):
            os.abort()
        if content.startswith(b"hang"):
            time.sleep(3600)
        if content.startswith(b"once"):  # a machine that dies
            marker = Path(self._argument) / f"died-{uri}"
            if not marker.exists():
                marker.touch()
                os.abort()
        return np.array([len(content), stretch.start], np.float32)


class _Content:
    def __init__(self, file: MediaFile) -> None:
        self.content = file.read()

    def __enter__(self) -> "_Content":
        return self

    def __exit__(self, *_: object) -> None:
        pass
