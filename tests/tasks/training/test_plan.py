"""The name of a model says all that its numbers depend on, and nothing more than it did where that is the default."""

from pathlib import Path
from typing import Any

import pytest

from tasks.config.training import TrainConfig
from tasks.storage.workspace import Workspace
from tasks.training import plan as train_plan
from tasks.training.plan import plan_training
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations


def plan(workspace: Workspace, hidden: int = 16, **config: Any) -> tuple[str, str | None]:
    training = made_conversations.training(hidden=hidden, **config.pop("optim", {}))
    settings = TrainConfig(workspace=workspace.url, archive="made", training=training, **config)
    bundle = plan_training(workspace, settings).bundle
    return bundle.model_id, bundle.made_with.get("device")


def test_the_device_is_in_the_name_where_it_is_no_processor_that_computes_in_float32(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.archive(workspace)
    monkeypatch.setattr(train_plan, "_has_amx", lambda: False)
    narrow, wide = plan(workspace), plan(workspace, 512)
    assert narrow[1] is wide[1] is None
    assert plan(workspace, resources={"cpus": 2}) == narrow
    gpu = plan(workspace, resources={"cpus": 2, "gpus": 1})
    assert gpu[1] == "gpu" and gpu[0] != narrow[0]
    monkeypatch.setattr(train_plan, "_has_amx", lambda: True)
    assert plan(workspace) == narrow, "a narrow network computes in float32 there as well"
    amx = plan(workspace, 512)
    assert amx[1] == "amx_bf16" and amx[0] != wide[0]
    assert plan(workspace, 512, optim={"precision": "float32"})[1] is None
    assert plan(workspace, resources={"cpus": 2, "gpus": 1}) == gpu


def test_a_processor_s_flags_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, has in (("flags : avx2 amx_bf16 amx_tile", True), ("flags : avx2 avx512_bf16", False)):
        monkeypatch.setattr(Path, "read_text", lambda _, flags=flags: flags)
        assert train_plan._has_amx() is has
