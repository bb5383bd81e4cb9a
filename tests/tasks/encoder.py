"""Tiny encoders made on the spot, and an archive whose emotions can be read from the words."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from sdt_model.encoder import TextEncoder, Words, load_body
from tasks.archive import archive_manifest_path
from tasks.days import DAYS, said_by_day
from tasks.encoders import EncoderDescription, trace
from tasks.manifest import Manifest
from tasks.schema import UTTERANCES
from tasks.shards import Shard, ShardOutput, run_shard
from tasks.workspace import Workspace

WORDS = {"anger": ("damn", "hate"), "joy": ("great", "love"), "neutral": ("table", "door")}
_FILLER = ("so", "well", "the", "you", "then", "ann", "bob", ":")


def tiny_encoder(folder: Path) -> Path:
    """A BERT of two narrow layers with a vocabulary of a few words, saved to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    telling = (word for pair in WORDS.values() for word in pair)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_FILLER, *telling]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def written_encoders(
    workspace: Workspace,
    tiny: Path,
    emotions: tuple[str, ...],
    archive: str,
    context: int = 0,
    folds: int = 1,
    seen: tuple[str, ...] = (),
) -> EncoderDescription:
    """Write encoder `e`, whose folds differ in their heads and bodies, as if fine-tuned from ``tiny``."""
    for fold in range(folds):
        body = load_body(tiny)
        torch.manual_seed(fold)
        with torch.no_grad():
            for parameter in body.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        encoder = TextEncoder(body, len(emotions))
        folder = Path(workspace.path(f"encoders/e/{fold}"))
        folder.mkdir(parents=True)
        encoder.save(folder)
        Words(tiny).save(folder)
    description = EncoderDescription(
        encoder_id="e", base="tiny", licence="none", emotions=emotions, dim=encoder.dim, context=context, max_tokens=16,
        folds=folds, archive=archive, data_fingerprint="f", scores=({},),
    )  # fmt: skip
    workspace.write_json("encoders/e/seen.json", [trace(name) for name in seen])
    workspace.write_json("encoders/e/encoder.json", description.model_dump(mode="json"))
    return description


def spoken_archive(workspace: Workspace, conversations: int = 40, shards: int = 2) -> Manifest:
    """Conversations of one to seven turns whose words give the emotion away; every ninth utterance has no text."""
    records = []
    for k in range(shards):
        rows = [row for number in range(k, conversations, shards) for row in _conversation(number)]
        table = pa.Table.from_pylist(rows, schema=UTTERANCES)
        counts = {"accepted": len(rows), "labelled": len(rows), "text": len(rows), "audio": 0, "video": 0}
        facts = {
            DAYS: said_by_day(pl.DataFrame(pl.from_arrow(table))),
            "emotions": dict.fromkeys(WORDS, 1),
            "splits": ["dev", "test", "train"],
        }
        shard = Shard(k, f"archives/spoken/utterances/made/part-{k:05d}.parquet")
        output = ShardOutput(table, counts, facts)
        records.append(run_shard(workspace, shard, lambda _, output=output: output))
    facts = {"media_root": workspace.url}
    manifest = Manifest(stage="ingest", fingerprint="made", shards=tuple(records), columns={}, facts=facts)
    manifest.write(workspace, archive_manifest_path("spoken"))
    return manifest


def _conversation(number: int) -> list[dict[str, object]]:
    chance = np.random.default_rng(number)
    split = ("train", "train", "train", "dev", "test")[number % 5]
    rows: list[dict[str, object]] = []
    for turn in range(1 + number % 7):
        emotion = str(chance.choice(list(WORDS)))
        said = [*chance.choice(_FILLER[:5], 3), chance.choice(WORDS[emotion])]
        text = None if (number + turn) % 9 == 8 else " ".join(chance.permutation(said))
        speaker = ("Ann", "Bob", None)[turn % 3]
        rows.append({
            "conversation_id": f"c{number:03d}", "turn": turn, "speaker": speaker, "text": text, "emotion": emotion,
            "split": split,
        })  # fmt: skip
    return rows
