"""The comparison of modalities trains each alone and all together, and says what the best alone lacks."""

import re

import pytest

from benchmarks import modalities
from sdt_model.config import MODALITIES
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations


@pytest.mark.long
def test_each_alone_and_all_together(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.archive(workspace)
    training = made_conversations.training(epochs=2)
    monkeypatch.setitem(modalities.RECIPES, "demo", lambda: training)
    arguments = ["modalities", "--workspace", workspace.url, "--archive", "made", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    modalities.main()
    _, *lines, last = capsys.readouterr().out.splitlines()
    means = {what: float(mean) for what, mean, _, _ in map(str.split, lines)}
    assert list(means) == [*MODALITIES, "+".join(MODALITIES)]
    expected = {name: modalities.trained(workspace, "made", training.seeded(0), (name,)) for name in MODALITIES}
    for name, metrics in expected.items():
        assert means[name] == pytest.approx(metrics["test_weighted_f1"], abs=5e-5)
    best = max(MODALITIES, key=means.__getitem__)
    found = re.fullmatch(r"all together: ([+-]0\.\d{4}) over the best alone \((\w+)\)", last)
    assert found is not None and found[2] == best
    assert float(found[1]) == pytest.approx(means["+".join(MODALITIES)] - means[best], abs=2e-4)
