"""Which new model may go into production, on real models of a made-up archive: a trained one, and one that is not."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sdt_model.bundle import Bundle
from sdt_model.metrics.scores import weighted_f1
from sdt_model.weights import new_network, to_files
from tasks.archive.manifests import read_archive
from tasks.config.training import TrainConfig
from tasks.registry.models import (
    find_bundle,
    production,
    promote,
    read_network,
    read_production,
    rollback,
    write_bundle,
)
from tasks.storage.sealed import write_sealed
from tasks.storage.workspace import Workspace
from tasks.training.plan import plan_training
from tasks.training.promotion import Promotion, promote_if
from tasks.training.scoring import score_models
from tasks.training.worker import build_trainer
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Bundle]:
    """What each test has a copy of: training takes a while."""
    tmp_path = tmp_path_factory.mktemp("original")
    workspace = Workspace(str(tmp_path / "workspace"))
    made.archive(workspace, missing=0.0)
    training = made_conversations.training(hidden=32, learning_rate=3e-3, epochs=6)
    plan = plan_training(workspace, TrainConfig(workspace=workspace.url, ray=LOCAL, archive="made", training=training))
    trainer = build_trainer(plan, tmp_path, torch.device("cpu"))
    for number in range(6):
        trainer.epoch(number)
    write_bundle(workspace, plan.bundle.model_id, to_files(plan.bundle, trainer.plain))
    promoted_model(workspace)
    return workspace, plan.bundle


@pytest.fixture
def trained(workspace: Workspace, original: tuple[Workspace, Bundle]) -> Bundle:
    """In no one's production, beside `sdt-made` with random weights, which is in production."""
    there, bundle = original
    shutil.copytree(there.url, workspace.url)
    return bundle


def decide(workspace: Workspace, candidate: Bundle, **config: object) -> Promotion:
    return promote_if(workspace, candidate, TrainConfig(workspace=workspace.url, ray=LOCAL, archive="made", **config))


@pytest.mark.long
def test_a_better_model_takes_the_place_and_a_worse_one_does_not(workspace: Workspace, trained: Bundle) -> None:
    better = decide(workspace, trained, promote_margin=0.0)
    assert better.promoted and production(workspace) == trained.model_id
    assert (
        better.against == "sdt-made"
        and better.outcome == "better"
        and better.difference is not None
        and better.difference > 0.2
    )
    assert better.interval is not None and 0 < better.interval.low < better.difference < better.interval.high
    worse = decide(workspace, find_bundle(workspace, "sdt-made"))
    assert not worse.promoted and production(workspace) == trained.model_id
    assert worse.difference == -better.difference and worse.outcome == "worse"
    assert f"against {trained.model_id}" in worse.why and "not within the margin of 0.02" in worse.why
    assert decide(workspace, find_bundle(workspace, "sdt-made"), promote_margin=1.0).promoted


def test_an_equal_one_is_not_worse(workspace: Workspace, trained: Bundle) -> None:
    promote(workspace, trained.model_id)
    twin = trained.model_copy(update={"model_id": "sdt-twin"})
    write_bundle(workspace, "sdt-twin", to_files(twin, read_network(workspace, trained)))
    found = decide(workspace, twin, promote_margin=0.0)
    assert found.promoted and found.difference == 0 and production(workspace) == "sdt-twin"


def test_it_is_left_out_or_put_there_when_that_is_asked_for(workspace: Workspace, trained: Bundle) -> None:
    assert decide(workspace, trained, promote="never") == Promotion(
        promoted=False, why="promotion was not asked for", against="sdt-made"
    )
    assert production(workspace) == "sdt-made"
    assert decide(workspace, trained, promote="always").promoted and production(workspace) == trained.model_id
    assert decide(workspace, trained).why == "it was there already"


def test_what_cannot_be_compared_stays_out_and_says_why(workspace: Workspace, trained: Bundle) -> None:
    current = find_bundle(workspace, "sdt-made")
    other = current.model_copy(update={"model_id": "sdt-other", "emotions": ("anger", "joy")})
    write_bundle(workspace, "sdt-other", to_files(other, new_network(other)))
    promote(workspace, "sdt-other")
    assert decide(workspace, trained).why == "it names other emotions than sdt-other: anger, joy"
    text = current.features["text"].model_copy(update={"fingerprint": "f" * 16})
    strange = current.model_copy(update={"model_id": "sdt-strange", "features": current.features | {"text": text}})
    write_bundle(workspace, "sdt-strange", to_files(strange, new_network(strange)))
    promote(workspace, "sdt-strange")
    found = decide(workspace, trained)
    assert not found.promoted and production(workspace) == "sdt-strange"
    assert "it could not be compared: model sdt-strange takes text features of minilm" in found.why
    assert "sdt extract made" in found.why


def test_a_model_that_was_rolled_back_stays_out_until_it_is_put_there_by_hand(
    workspace: Workspace, trained: Bundle
) -> None:
    assert decide(workspace, trained, promote="always").promoted
    rollback(workspace)
    for how in ("if-not-worse", "always"):
        found = decide(workspace, trained, promote=how)
        assert not found.promoted and f"sdt promote {trained.model_id}" in found.why
    assert production(workspace) == "sdt-made"
    promote(workspace, trained.model_id)
    assert decide(workspace, trained).why == "it was there already"


def test_one_whose_files_are_gone_is_in_nobody_s_way(workspace: Workspace, trained: Bundle) -> None:
    workspace.remove_folder("models/sdt-made")
    found = decide(workspace, trained)
    assert found.promoted and "sdt-made, which was in production, is no longer there" in found.why


def test_what_a_model_can_say_nothing_of_counts_against_it(workspace: Workspace, trained: Bundle) -> None:
    """The second is given audio alone, which few utterances have."""
    promote(workspace, trained.model_id)
    archive = read_archive(workspace, "made")
    tables = [workspace.read_table(shard.path) for shard in archive.shards]
    made.features(workspace, "made", archive, tables, "audio", 0.9, 0)
    few = trained.model_copy(update={"model_id": "sdt-few", "features": {"audio": trained.features["audio"]}})
    torch.manual_seed(0)
    write_bundle(workspace, "sdt-few", to_files(few, new_network(few)))
    (scored,) = score_models([few], TrainConfig(workspace=workspace.url, ray=LOCAL, archive="made"), split="dev")
    (other,) = score_models([trained], TrainConfig(workspace=workspace.url, ray=LOCAL, archive="made"), split="dev")
    assert scored.compared.sum() == other.compared.sum() > 5 * scored.whole["fused"].sum()
    ours, theirs = (float(weighted_f1(each.compared.sum(axis=0))) for each in (scored, other))
    assert ours < 0.25 < theirs
    assert decide(workspace, few).difference == pytest.approx(ours - theirs)


def test_one_in_production_that_can_say_nothing_at_all_is_replaced(workspace: Workspace, trained: Bundle) -> None:
    archive = read_archive(workspace, "made")
    tables = [workspace.read_table(shard.path) for shard in archive.shards]
    made.features(workspace, "made", archive, tables, "audio", 1.0, 0)
    mute = trained.model_copy(update={"model_id": "sdt-mute", "features": {"audio": trained.features["audio"]}})
    write_bundle(workspace, "sdt-mute", to_files(mute, new_network(mute)))
    promote(workspace, "sdt-mute")
    found = decide(workspace, trained)
    assert found.promoted and found.difference is not None and found.difference > 0.3


def test_the_first_model_goes_into_production(workspace: Workspace, trained: Bundle) -> None:
    workspace.remove("models/production.json")
    assert decide(workspace, trained).why == "there was none in production"
    assert production(workspace) == trained.model_id


def copy(workspace: Workspace, bundle: Bundle, model_id: str, spoilt: int = 0) -> Bundle:
    """The same model under another name, its last layer spoilt more or less."""
    twin = bundle.model_copy(update={"model_id": model_id})
    network = read_network(workspace, bundle)
    with torch.no_grad():
        noise = torch.randn(network.teacher.weight.shape, generator=torch.Generator().manual_seed(1))
        network.teacher.weight += 0.05 * spoilt * noise
    write_bundle(workspace, model_id, to_files(twin, network))
    return twin


def few_dev(workspace: Workspace, most: int) -> None:
    """All but so many dev conversations become training ones."""
    archive, seen = read_archive(workspace, "made"), set()
    for shard in archive.shards:
        table = workspace.read_table(shard.path)
        names, splits = table["conversation_id"].to_pylist(), table["split"].to_pylist()
        for row, (name, split) in enumerate(zip(names, splits, strict=True)):
            if split == "dev" and (len(seen) < most or name in seen):
                seen.add(name)
            elif split == "dev":
                splits[row] = "train"
        place = table.schema.get_field_index("split")
        column = pa.array(splits, table.schema.field("split").type)
        pq.write_table(table.set_column(place, table.schema.field("split"), column), workspace.path(shard.path))


@pytest.mark.parametrize("most", [1, 2, 4])
def test_too_few_conversations_decide_nothing(workspace: Workspace, trained: Bundle, most: int) -> None:
    few_dev(workspace, most)
    found = decide(workspace, trained, promote_margin=0.5)
    assert not found.promoted and found.outcome == "undecidable" and production(workspace) == "sdt-made"
    assert "fewer than 5 annotated dev conversations" in found.why and found.interval is None


def test_what_cannot_be_told_is_neither_better_nor_worse(workspace: Workspace, trained: Bundle) -> None:
    promote(workspace, trained.model_id)
    found = decide(workspace, copy(workspace, trained, "sdt-unlike", spoilt=6), promote_margin=0.02)
    assert not found.promoted and found.outcome == "undecidable"
    assert "more annotated dev conversations would tell" in found.why
    assert found.interval is not None and found.interval.low < 0 < found.interval.high


@pytest.mark.parametrize("split", [{"split": "0" * 16}, {}])
def test_models_of_other_splits_are_not_compared(workspace: Workspace, trained: Bundle, split: dict[str, str]) -> None:
    """The one in production may have learned from what is dev now."""
    other = copy(workspace, trained.model_copy(update={"made_with": split}), "sdt-other")
    promote(workspace, other.model_id)
    found = decide(workspace, trained)
    assert not found.promoted and found.outcome == "undecidable" and production(workspace) == "sdt-other"
    assert "may have learned from these dev conversations" in found.why
    assert f"sdt promote {trained.model_id}" in found.why


@pytest.mark.long
def test_small_losses_do_not_add_up_over_successors(workspace: Workspace, trained: Bundle) -> None:
    """Each successor loses no more than the margin against the one before."""
    promote(workspace, trained.model_id)
    margin, chain = 0.12, [trained]
    for step in range(1, 15):
        successor = copy(workspace, trained, f"sdt-step-{step}", spoilt=step)
        found = decide(workspace, successor, promote_margin=margin)
        if not found.promoted:
            break
        chain.append(successor)
    assert len(chain) > 2 and not found.promoted and found.against != chain[-1].model_id, "it had passed that one"
    scored = score_models(chain, TrainConfig(workspace=workspace.url, ray=LOCAL, archive="made"), split="dev")
    scores = [float(weighted_f1(each.compared.sum(axis=0))) for each in scored]
    assert all(later >= max(scores[:place]) - margin for place, later in enumerate(scores) if place)
    pointer = read_production(workspace)
    assert pointer is not None and pointer.best == found.against


def test_the_best_is_remembered_beyond_those_that_were_before(workspace: Workspace, trained: Bundle) -> None:
    pointer = read_production(workspace)
    assert pointer is not None
    pointer = pointer.model_copy(update={"before": (), "best": trained.model_id})
    write_sealed(workspace, "models/production.json", pointer.model_dump(mode="json"))
    found = decide(workspace, copy(workspace, find_bundle(workspace, "sdt-made"), "sdt-next"))
    assert not found.promoted and found.against == trained.model_id and found.outcome == "worse"
