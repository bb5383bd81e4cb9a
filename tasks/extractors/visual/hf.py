"""Visual vectors from any pretrained vision encoder, of an utterance's frames or of the largest face in each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.hf.options import VisualOptions
from tasks.extractors.hf.runner import Running, empty_moments, pooled
from tasks.extractors.hf.spec import Chosen
from tasks.extractors.loop import PICTURES, gathered, read_each
from tasks.extractors.media.container import container
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.frames import sampled, upright
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.span import MediaFault, Span
from tasks.extractors.visual.faces import FaceCrop

_BATCH = 16  # pictures


def load(argument: str) -> Extractor:
    """Load the encoder that ``argument`` describes (`Chosen` as JSON)."""
    chosen = Chosen[VisualOptions].model_validate_json(argument)
    return HfVisual(chosen.folder(), chosen.options)


class HfVisual:
    """Mean and deviation over frames (N, 2C) of an encoder's states."""

    def __init__(self, folder: Path, options: VisualOptions, dtype: str | None = None) -> None:
        from transformers import AutoImageProcessor

        self._options, self._running = options, Running(folder, dtype)
        # One backend, so that what else is installed does not change the pictures.
        self._prepare = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
        self._face = None if options.face is None else FaceCrop(options.face)
        self._dim = options.dim(self._running.body.config)

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        extracted = Extracted.none(utterances.num_rows, self._dim)
        batch = _BATCH * self._running.batch_scale
        for group in gathered(read_each(utterances, PICTURES, media, self._read, extracted), len, batch):
            moments = empty_moments(len(group), self._dim // 2)
            owners = [index for index, (_, pictures) in enumerate(group) for _ in pictures]
            pictures = torch.cat([pictures for _, pictures in group])
            for begin in range(0, len(owners), batch):
                states = self._encode(pictures[begin : begin + batch])
                for owner, state in zip(owners[begin : begin + batch], states, strict=True):
                    moments[owner].add(state[None].cpu().numpy())
            extracted.put([row for row, _ in group], pooled(moments))
        return extracted

    def _read(self, file: MediaFile, _: str, stretch: Span) -> Tensor:
        """Read an utterance's pictures as the encoder takes them (F, 3, H, W), one at a time in full size."""
        with container(file) as opened:
            prepared = [self._prepared(picture) for picture in self._shown(file, opened, stretch)]
        if not prepared:
            raise MediaFault("no face found")
        return torch.cat(prepared)

    def _shown(self, file: MediaFile, opened: Any, stretch: Span) -> Iterator[npt.NDArray[np.uint8]]:
        count = faceless = 0
        for frame in sampled(file, opened, stretch, self._options.fps, self._options.frames):
            picture = np.ascontiguousarray(upright(frame.to_ndarray(format="rgb24"), frame))
            shown = picture if self._face is None else self._face(picture)
            count, faceless = count + 1, faceless + (shown is None)
            if shown is not None:
                yield shown
        if faceless:
            file.notes.append(f"no face found in {faceless} of {count} frames")

    def _prepared(self, picture: npt.NDArray[np.uint8]) -> Tensor:
        inputs = self._prepare(images=picture, input_data_format="channels_last", return_tensors="pt")
        prepared: Tensor = inputs["pixel_values"]
        return prepared

    def _encode(self, pictures: Tensor) -> Tensor:
        """Encode F pictures to (F, C)."""
        states = self._running.states({"pixel_values": pictures})
        if states.dim() == 4:  # a convolutional encoder's map
            return states.mean(dim=(2, 3))
        return states[:, 0] if self._options.pooling == "cls" else states.mean(dim=1)
