"""Text vectors from an encoder that `sdt finetune-text` made.

A conversation of the training data is read by the one encoder that did not see it, every other by all of them, with
their vectors averaged. So features of the training split are like those of conversations yet to come.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from sdt_model.text_encoder.encoder import TextEncoder, Tokenizer, load_encoder
from sdt_model.text_encoder.inputs import batches_by_tokens, pack_windows
from sdt_model.text_encoder.windows import Window, token_windows
from tasks.errors import DamagedFile
from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.text.conversation import conversation_texts
from tasks.registry.encoders import SEEN, EncoderDescription, fold_of, local_folder, read_description, trace
from tasks.registry.sums import read_sums, wrong_files
from tasks.storage.workspace import Workspace

_BATCH_TOKENS = 4096


def load(folder: str) -> Extractor:
    """Load the encoders in ``folder``, any fsspec URL.

    Raises:
        WorkflowError: a file of theirs is damaged.
    """
    store = Workspace(folder)
    try:
        description = read_description(store, "")
        for path, why in wrong_files(store, "", read_sums(store, "", description.hashes)).items():
            raise DamagedFile(store.uri(path), path, why)
    except DamagedFile as error:
        raise error.with_repair("sdt finetune-text ARCHIVE, as it was made") from error
    with local_folder(store, "") as local:
        return Finetuned(local, description, frozenset(store.read_json(SEEN)))


class Finetuned:
    """Vectors (N, C + K): the mean of an utterance's last states, and its scores."""

    def __init__(self, folder: Path, description: EncoderDescription, seen: frozenset[str]) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._description, self._seen = description, seen
        classes = len(description.emotions)
        folders = [folder / str(fold) for fold in range(description.folds)]
        self._words = Tokenizer(folders[0])
        self._encoders = [load_encoder(path, classes).to(self._device) for path in folders]

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:  # noqa: ARG002
        vectors = np.zeros((utterances.num_rows, self._description.dim), np.float32)
        valid = np.zeros(utterances.num_rows, bool)
        by_fold: dict[int, list[Window]] = {fold: [] for fold in range(self._description.folds)}
        readers = np.ones(utterances.num_rows, np.float32)
        for conversation_id, rows in _conversations(utterances):
            conversation = self._windows(utterances, rows)
            folds = self._folds(conversation_id)
            for fold in folds:
                by_fold[fold] += conversation
            spoken = [row for window in conversation for row in window.rows]
            valid[spoken], readers[spoken] = True, len(folds)
        # Each encoder's vectors are added up, then divided by the number of encoders that read the utterance.
        for fold, encoder in enumerate(self._encoders):
            for batch in batches_by_tokens(by_fold[fold], _BATCH_TOKENS):
                vectors[[row for window in batch for row in window.rows]] += self._encode(encoder, batch)
        vectors /= readers[:, None]
        return Extracted(vectors, valid, [None] * utterances.num_rows)

    def _folds(self, conversation_id: str) -> list[int]:
        """Choose the encoders that read a conversation."""
        folds = self._description.folds
        seen = folds > 1 and trace(conversation_id) in self._seen
        return [fold_of(conversation_id, folds)] if seen else list(range(folds))

    def _windows(self, utterances: pa.Table, rows: range) -> list[Window]:
        turns = utterances.slice(rows.start, len(rows))
        context, most = self._description.context, self._description.max_tokens
        spoken, texts = conversation_texts(turns["speaker"].to_pylist(), turns["text"].to_pylist(), context)
        ids = self._words.tokens(texts, most)
        return list(token_windows(ids, [rows[index] for index in spoken], context, most, self._words.special))

    @torch.inference_mode()
    def _encode(self, encoder: TextEncoder, batch: list[Window]) -> np.ndarray:
        packed = pack_windows(batch, self._words.special.padding).to(self._device)
        return encoder.vectors(packed).cpu().numpy()


def _conversations(utterances: pa.Table) -> list[tuple[str, range]]:
    """Group rows by conversation; a shard holds whole ones, in order."""
    ids = utterances["conversation_id"].to_pylist()
    starts = [row for row, name in enumerate(ids) if row == 0 or ids[row - 1] != name]
    return [(ids[begin], range(begin, end)) for begin, end in zip(starts, [*starts[1:], len(ids)], strict=True)]
