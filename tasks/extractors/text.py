"""Sentence embeddings from all-MiniLM-L6-v2, whose weights come with the installed package: no download, no hub."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from transformers import AutoModel, AutoTokenizer

from tasks.encoders import minilm_folder
from tasks.extractors import Extracted, Extractor
from tasks.extractors.distinct import encode_distinct
from tasks.extractors.media import MediaRoot

_MOST_TOKENS = 256  # what the model was trained for; the rest of a longer text is not read
_BATCH_TOKENS = 4096  # padded; larger ones leave the processor's cache


def load(_: str) -> Extractor:
    """The encoder, from the package's own folder."""
    return MiniLM(minilm_folder())


class MiniLM:
    """Mean-pooled token states, scaled to length one."""

    def __init__(self, folder: Path) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(self._device)

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:  # noqa: ARG002
        return encode_distinct(utterances.column("text"), self._encode, self._model.config.hidden_size)

    def _encode(self, texts: list[str]) -> np.ndarray:
        """(T, C) for T texts, batches of like length together."""
        tokens = self._tokenizer(texts, truncation=True, max_length=_MOST_TOKENS)["input_ids"]
        vectors = np.empty((len(texts), self._model.config.hidden_size), np.float32)
        batch: list[int] = []
        for i in sorted(range(len(texts)), key=lambda i: (len(tokens[i]), i)):
            if batch and (len(batch) + 1) * len(tokens[i]) > _BATCH_TOKENS:
                vectors[batch] = self._forward([tokens[j] for j in batch])
                batch = []
            batch.append(i)
        vectors[batch] = self._forward([tokens[j] for j in batch])
        return vectors

    @torch.inference_mode()
    def _forward(self, tokens: list[list[int]]) -> np.ndarray:
        inputs = self._tokenizer.pad({"input_ids": tokens}, return_tensors="pt").to(self._device)
        states = self._model(**inputs).last_hidden_state  # (B, T, C)
        mask = inputs["attention_mask"].unsqueeze(-1)
        pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()
