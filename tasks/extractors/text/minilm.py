"""Sentence embeddings from all-MiniLM-L6-v2, whose weights come with an installed package: no download, no hub."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from sdt_model.text_encoder.encoder import load_body
from sdt_model.text_encoder.inputs import batches_of_one_length
from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.text.dedup import encode_distinct
from tasks.extractors.text.openvino import Compiled
from tasks.registry.encoders import minilm_folder

INT8 = "int8"
_MOST_TOKENS = 256  # what the model was trained for; the rest of a longer text is not read
_GPU_BATCH_TOKENS = 65_536


def load(argument: str) -> Extractor:
    """Load the encoder from its package; the argument ``int8`` makes it compute with 8-bit integers."""
    return MiniLM(minilm_folder(), int8=argument == INT8)


class MiniLM:
    """Mean-pooled token states (N, 384), scaled to length one."""

    def __init__(self, folder: Path, int8: bool = False) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        encoder = _Sentence(folder)
        self._dim = int(encoder.body.config.hidden_size)
        on_gpu = torch.cuda.is_available() and not int8
        self._run = _OnGpu(encoder, self._dim) if on_gpu else Compiled(encoder, self._dim, int8)

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:  # noqa: ARG002
        return encode_distinct(utterances.column("text"), self._encode, self._dim)

    def _encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Encode T texts to (T, C)."""
        return self._run(self._tokenizer(texts, truncation=True, max_length=_MOST_TOKENS)["input_ids"])


class _Sentence(nn.Module):
    """Token ids (B, T), none of them padding, to vectors (B, C)."""

    body: Any

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.body = load_body(folder)
        self.body.set_attn_implementation("eager")  # written out, attention is a pattern that the compiler knows

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.body(input_ids=tokens).last_hidden_state  # (B, T, C)
        return nn.functional.normalize(states.mean(dim=1), dim=-1)


class _OnGpu:
    """The encoder on the GPU; its vectors equal those of `Compiled` to about 1e-6."""

    def __init__(self, encoder: nn.Module, dim: int) -> None:
        self._encoder, self._dim = encoder.eval().cuda(), dim

    @torch.inference_mode()
    def __call__(self, sequences: list[list[int]]) -> npt.NDArray[np.float32]:
        vectors = np.empty((len(sequences), self._dim), np.float32)
        for rows in batches_of_one_length(list(map(len, sequences)), _GPU_BATCH_TOKENS):
            vectors[rows] = self._encoder(torch.tensor([sequences[row] for row in rows], device="cuda")).cpu().numpy()
        return vectors
