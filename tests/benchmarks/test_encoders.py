"""What fine-tuned encoders say by themselves, one by one and together."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import encoders
from sdt_model.text_encoder.encoder import Tokenizer, load_encoder
from sdt_model.text_encoder.inputs import pack_windows
from tasks.storage.workspace import Workspace
from tests.fixtures.encoders.finetuned import WORDS, spoken_archive, tiny_encoder, written_encoders

EMOTIONS = tuple(sorted(WORDS))


def metrics() -> dict[str, Callable[..., float]]:
    from sklearn.metrics import accuracy_score, f1_score

    by_average = {f"{average}_f1": partial(f1_score, average=average) for average in ("weighted", "macro")}
    return {**by_average, "accuracy": accuracy_score}


@pytest.mark.long
def test_scores_are_those_of_what_has_a_text(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken_archive(workspace, conversations=40)
    found = written_encoders(workspace, tiny_encoder(tmp_path / "tiny"), EMOTIONS, "spoken", folds=2)
    monkeypatch.setattr("sys.argv", ["encoders", "e", "--workspace", workspace.url])
    encoders.main()
    shown = capsys.readouterr().out.splitlines()
    folder = Path(workspace.path("encoders/e"))
    words = Tokenizer(folder / "0")
    folds = [load_encoder(folder / str(fold), len(EMOTIONS)) for fold in range(found.folds)]
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
        alone, together = [by.argmax(dim=-1) for by in said], torch.stack(said).mean(dim=0).argmax(dim=-1)
        assert not torch.equal(*alone)
        for name, score in metrics().items():
            each, both = np.mean([score(truth, by) for by in alone]), score(truth, together)
            expected.append(f"{split} {name}: each alone {each:.4f} on average, all together {both:.4f}")
    assert shown == expected
