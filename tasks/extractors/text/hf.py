"""Text vectors from any pretrained text encoder."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sdt_model.text_encoder.inputs import batches_by_length
from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.hf.options import TextOptions
from tasks.extractors.hf.runner import Running
from tasks.extractors.hf.spec import Chosen
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.text.dedup import encode_distinct

_BATCH_TOKENS = 4096  # padded


def load(argument: str) -> Extractor:
    """Load the encoder that ``argument`` describes (`Chosen` as JSON)."""
    chosen = Chosen[TextOptions].model_validate_json(argument)
    return HfText(chosen.folder(), chosen.options)


class HfText:
    """Pooled token states (N, C) of each text by itself; a text that is too long loses its end."""

    def __init__(self, folder: Path, options: TextOptions, dtype: str | None = None) -> None:
        from transformers import AutoTokenizer

        self._options, self._running = options, Running(folder, dtype)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._tokenizer.padding_side = "right"
        self._dim = int(self._running.body.config.hidden_size)

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:  # noqa: ARG002
        return encode_distinct(utterances.column("text"), self._encode, self._dim)

    def _encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Encode T texts to (T, C)."""
        tokens = self._tokenizer(texts, truncation=True, max_length=self._options.tokens)["input_ids"]
        vectors = np.empty((len(texts), self._dim), np.float32)
        most = _BATCH_TOKENS * self._running.batch_scale
        for batch in batches_by_length(range(len(texts)), lambda index: len(tokens[index]), most):
            vectors[batch] = self._pooled([tokens[index] for index in batch])
        return vectors

    def _pooled(self, tokens: list[list[int]]) -> npt.NDArray[np.float32]:
        inputs = self._tokenizer.pad({"input_ids": tokens}, return_tensors="pt")
        states = self._running.states(inputs, self._options.layers)  # (B, T, C)
        if self._options.pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = inputs["attention_mask"].to(states).unsqueeze(-1)
            pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
        vectors: npt.NDArray[np.float32] = pooled.cpu().numpy()
        return vectors
