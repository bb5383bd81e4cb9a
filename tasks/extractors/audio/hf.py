"""Audio vectors from any pretrained speech encoder: wav2vec 2.0, HuBERT, WavLM and their like."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from sdt_model.text_encoder.inputs import batches_by_length
from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.hf.options import AudioOptions
from tasks.extractors.hf.runner import Running, empty_moments, pooled
from tasks.extractors.hf.spec import Chosen
from tasks.extractors.loop import SOUND, gathered, read_each
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.mixing import Samples
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.sound import read_sound, resampled, too_short
from tasks.extractors.media.span import Span

_PIECE_S = 30.0  # attention's cost grows with the square of this
_BATCH_S = 60.0  # padded
_SHORTEST_S = 0.025  # where the encoder does not say what it needs

Piece = tuple[int, Samples]  # an utterance's number within the batch, and a part of its sound


def load(argument: str) -> Extractor:
    """Load the encoder that ``argument`` describes (`Chosen` as JSON)."""
    chosen = Chosen[AudioOptions].model_validate_json(argument)
    return HfAudio(chosen.folder(), chosen.options)


class HfAudio:
    """Mean and deviation over time (N, 2C) of an encoder's states; it reads a long utterance in equal pieces."""

    def __init__(self, folder: Path, options: AudioOptions, dtype: str | None = None) -> None:
        from transformers import AutoFeatureExtractor

        self._options, self._running = options, Running(folder, dtype)
        self._features = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        self._rate = int(self._features.sampling_rate)
        self._dim = options.dim(self._running.body.config)
        self._padded = _may_be_padded(self._running.body.config)

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        extracted = Extracted.none(utterances.num_rows, self._dim)
        sounds = read_each(utterances, SOUND, media, self._read, extracted)
        for group in gathered(sounds, len, self._batch_samples):
            moments = empty_moments(len(group), self._dim // 2)
            pieces = [(index, part) for index, (_, samples) in enumerate(group) for part in self._parts(samples)]
            for batch in self._batches(pieces):
                for (index, _), states in zip(batch, self._encode([part for _, part in batch]), strict=True):
                    moments[index].add(states.cpu().numpy())
            extracted.put([row for row, _ in group], pooled(moments))
        return extracted

    def _read(self, file: MediaFile, uri: str, stretch: Span) -> Samples:
        samples, rate = read_sound(file, uri, stretch)
        sound = resampled(samples, rate, self._rate)
        if self._frames(len(sound)) < 1:
            raise too_short(len(samples), rate)
        return sound

    def _parts(self, samples: Samples) -> list[Samples]:
        return np.array_split(samples, math.ceil(len(samples) / (_PIECE_S * self._rate)))

    def _batches(self, pieces: list[Piece]) -> Iterator[list[Piece]]:
        if not self._padded:
            return ([piece] for piece in pieces)
        return batches_by_length(pieces, lambda piece: len(piece[1]), self._batch_samples)

    @property
    def _batch_samples(self) -> int:
        return round(_BATCH_S * self._rate) * self._running.batch_scale

    def _encode(self, parts: list[Samples]) -> Iterator[Tensor]:
        """Yield the states (T, C) of each part, without those of padding."""
        more: dict[str, Any] = {"padding": True, "return_attention_mask": True} if self._padded else {}
        inputs = self._features(parts, sampling_rate=self._rate, return_tensors="pt", **more)
        states = self._running.states(inputs, self._options.layers)
        for part, of_part in zip(parts, states, strict=True):
            yield of_part[: self._frames(len(part))] if self._padded else of_part

    def _frames(self, samples: int) -> int:
        """Count the states of so many samples; of an encoder without convolutions only whether there is one, 1 or 0."""
        config = self._running.body.config
        if not hasattr(config, "conv_kernel"):
            return int(samples >= _SHORTEST_S * self._rate)
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples


def _may_be_padded(config: Any) -> bool:
    """Whether padding behind a recording leaves its states as they are.

    Encoders that normalise a whole recording at once (the small wav2vec 2.0, HuBERT and WavLM) include the padding.
    """
    return getattr(config, "feat_extract_norm", "") == "layer" and not getattr(config, "add_adapter", False)
