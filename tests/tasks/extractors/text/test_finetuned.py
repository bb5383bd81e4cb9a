"""The fine-tuned extractor: what its vectors are, who reads a conversation, and that it is found by its name."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from sdt_model.text_encoder.encoder import Tokenizer, load_encoder
from tasks.errors import WorkflowError
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import extractor_spec
from tasks.registry.encoders import fold_of
from tasks.storage.workspace import Workspace
from tests.fixtures.encoders.finetuned import tiny_encoder, written_encoders
from tests.fixtures.media import utterances

NOWHERE = MediaRoot("memory://none")
CLASSES = ("anger", "joy")


def encoders(workspace: Workspace, tmp_path: Path, context: int = 0, folds: int = 1, seen: tuple[str, ...] = ()) -> str:
    """Write encoders; return the extractor's name."""
    written_encoders(workspace, tiny_encoder(tmp_path / "tiny"), CLASSES, "made", context, folds, seen)
    return "finetuned:e"


def vectors(workspace: Workspace, name: str, table: pa.Table) -> np.ndarray:
    found = extractor_spec("text", name, workspace).load()(table, NOWHERE)
    assert found.valid.tolist() == [text is not None for text in table["text"].to_pylist()]
    return found.vectors


def said(*texts: str | None, conversation: str = "c") -> pa.Table:
    return utterances(*({"conversation_id": conversation, "speaker": "Ann", "text": text} for text in texts))


def test_a_vector_is_the_mean_of_the_utterance_s_own_states_and_its_scores(
    workspace: Workspace, tmp_path: Path
) -> None:
    name = encoders(workspace, tmp_path)
    found = vectors(workspace, name, said("damn the table", None, "love"))
    folder = Path(workspace.path("encoders/e/0"))
    encoder, words = load_encoder(folder, len(CLASSES)), Tokenizer(folder)
    tokens = [words.special.begin, *words.tokens(["damn the table"], 16)[0], words.special.end]
    with torch.inference_mode():
        states = encoder.body(torch.tensor([tokens]), torch.ones(1, len(tokens), dtype=torch.long)).last_hidden_state[0]
        pooled = states[1:].mean(dim=0)
        expected = torch.cat([pooled, encoder.head(pooled)]).numpy()
    assert found.shape == (3, 18) and np.abs(found[0] - expected).max() < 1e-5
    assert np.abs(found[0] - found[2]).max() > 1e-2


def test_alone_an_utterance_does_not_depend_on_others_and_in_context_it_does(
    workspace: Workspace, tmp_path: Path
) -> None:
    other = Workspace(f"{workspace.url}-context")
    alone, context = encoders(workspace, tmp_path), encoders(other, tmp_path, context=2)
    pair = said("damn", "love"), said("great", "love")
    first, second = (vectors(workspace, alone, table)[1] for table in pair)
    assert np.abs(first - second).max() < 1e-5
    first, second = (vectors(other, context, table)[1] for table in pair)
    assert np.abs(first - second).max() > 1e-3
    # The conversation beside it is another one.
    beside = pa.concat_tables([said("great", conversation="b"), said("damn", "love")])
    assert np.abs(vectors(other, context, beside)[2] - first).max() < 1e-5


def test_a_training_conversation_is_read_by_the_encoder_that_did_not_see_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    name = encoders(workspace, tmp_path, folds=2, seen=("known",))
    singles = []
    for fold in range(2):
        single = Workspace(f"{workspace.url}-{fold}")
        encoders(single, tmp_path / str(fold))
        source = Path(workspace.path(f"encoders/e/{fold}"))
        for path in source.iterdir():
            (Path(single.path("encoders/e/0")) / path.name).write_bytes(path.read_bytes())
        singles.append(vectors(single, name, said("damn the door"))[0])
    assert np.abs(singles[0] - singles[1]).max() > 1e-2
    table = pa.concat_tables([said("damn the door", conversation="known"), said("damn the door", conversation="new")])
    known, new = vectors(workspace, name, table)
    assert np.abs(known - singles[fold_of("known", 2)]).max() < 1e-5
    assert np.abs(new - (singles[0] + singles[1]) / 2).max() < 1e-5


def test_its_fingerprint_follows_the_id_and_not_the_place(workspace: Workspace, tmp_path: Path) -> None:
    moved = Workspace(f"{workspace.url}-moved")
    name = encoders(workspace, tmp_path)
    encoders(moved, tmp_path)
    here, there = extractor_spec("text", name, workspace), extractor_spec("text", name, moved)
    assert here.fingerprint == there.fingerprint and here.dim == 18 and here.argument != there.argument


def test_an_encoder_that_there_is_not_names_those_that_there_are(workspace: Workspace, tmp_path: Path) -> None:
    encoders(workspace, tmp_path)
    with pytest.raises(WorkflowError, match=r"(?s)'none'.*there: e\n.*sdt finetune-text"):
        extractor_spec("text", "finetuned:none", workspace)
    with pytest.raises(WorkflowError, match="finetuned:ID"):
        extractor_spec("text", "finetuned:e")
