"""What fine-tuned encoders say by themselves, one by one and together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from benchmarks import encoders
from sdt_model.encoder import TextEncoder, Words, load_body, load_encoder
from sdt_model.windows import pack_windows
from tasks.encoders import EncoderDescription
from tasks.workspace import Workspace
from tests.tasks.encoder import WORDS, spoken_archive, tiny_encoder

EMOTIONS = tuple(sorted(WORDS))
FOLDS = 2


def two_encoders(workspace: Workspace, tiny: Path) -> EncoderDescription:
    """Encoders of the spoken archive that differ in their heads and bodies."""
    for fold in range(FOLDS):
        body = load_body(tiny)
        torch.manual_seed(fold)
        with torch.no_grad():
            for parameter in body.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        encoder = TextEncoder(body, len(EMOTIONS))
        torch.nn.init.normal_(encoder.head.weight)
        folder = Path(workspace.path(f"encoders/e/{fold}"))
        folder.mkdir(parents=True)
        encoder.save(folder)
        Words(tiny).save(folder)
    description = EncoderDescription(
        encoder_id="e", base="tiny", licence="none", emotions=EMOTIONS, dim=19, context=0, max_tokens=16,
        folds=FOLDS, archive="spoken", data_fingerprint="f", scores=({},),
    )  # fmt: skip
    workspace.write_json("encoders/e/encoder.json", description.model_dump(mode="json"))
    return description


def test_scores_are_those_of_what_has_a_text(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken_archive(workspace, conversations=40)
    found = two_encoders(workspace, tiny_encoder(tmp_path / "tiny"))
    monkeypatch.setattr("sys.argv", ["encoders", "e", "--workspace", workspace.url])
    encoders.main()
    shown = capsys.readouterr().out.splitlines()
    folder = Path(workspace.path("encoders/e"))
    words = Words(folder / "0")
    folds = [load_encoder(folder / str(fold), len(EMOTIONS)) for fold in range(FOLDS)]
    expected = []
    for split, texts in encoders.splits_of(workspace, found, words).items():
        windows = texts.windows
        truth = np.array([texts.labels[window.rows[0]] for window in windows])
        assert 0 < len(windows) < len(texts.labels)  # every ninth utterance has no text
        with torch.inference_mode():
            said = [
                torch.cat([fold(pack_windows([window], words.special.padding))[1] for window in windows])
                for fold in folds
            ]
        together = torch.stack(said).mean(dim=0)
        for name, score in {
            "weighted_f1": lambda truth, by: f1_score(truth, by.argmax(dim=-1), average="weighted"),
            "macro_f1": lambda truth, by: f1_score(truth, by.argmax(dim=-1), average="macro"),
            "accuracy": lambda truth, by: accuracy_score(truth, by.argmax(dim=-1)),
        }.items():
            alone = np.mean([score(truth, by) for by in said])
            both = score(truth, together)
            expected.append(f"{split} {name}: each alone {alone:.4f} on average, all together {both:.4f}")
    assert shown == expected
