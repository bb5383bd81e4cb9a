"""A run that completed says whether files were set aside and whether emotions drifted."""

from flows.run_state import COMPLETED, WITH_FAULTS, WITH_REJECTIONS, WITH_WARNING, Outcome, aside_files, drift_warnings
from tasks.label.drift import Drift
from tasks.storage.manifest import Aside, Manifest, ShardFacts, ShardRecord


def manifest(*aside: str) -> Manifest:
    facts = ShardFacts(aside={name: Aside(reason="its decoder crashed", version="1") for name in aside})
    record = ShardRecord(index=0, path="x.parquet", rows=1, bytes=1, sha256="0" * 64, facts=facts.plain())
    return Manifest(stage="extract-audio", fingerprint="f", shards=(record,), columns={})


def test_it_is_completed_unless_some_modality_set_a_file_aside() -> None:
    assert Outcome("page", aside=aside_files([manifest(), None])).state == COMPLETED
    outcome = Outcome("page", aside=aside_files([None, manifest("x.wav"), manifest("x.wav", "y.mp4")]))
    assert (outcome.state, outcome.message) == (WITH_FAULTS, "completed with 2 files set aside: x.wav, y.mp4")
    assert Outcome("page", aside=frozenset({"x.wav"})).message == "completed with 1 file set aside: x.wav"


def test_emotions_unlike_before_are_a_warning_and_faults_come_first() -> None:
    drifts = (
        Drift(against="the 3 days before", statistic="psi", value=0.5, threshold=0.2),
        Drift(against="training", statistic="psi", value=0.1, threshold=0.2),
    )
    outcome = Outcome("page", warnings=drift_warnings(drifts))
    assert outcome.state == WITH_WARNING
    assert outcome.message == "completed with emotions unlike the 3 days before (stability index 0.50)"
    both = Outcome("page", aside=frozenset({"x.wav"}), warnings=drift_warnings(drifts))
    assert both.state == WITH_FAULTS
    assert (
        both.message
        == "completed with 1 file set aside: x.wav; emotions unlike the 3 days before (stability index 0.50)"
    )


def test_too_much_rejected_is_a_state_of_its_own_between_faults_and_warnings() -> None:
    outcome = Outcome("page", rejections=("9 of 10 rows rejected",), warnings=("x",))
    assert (outcome.state, outcome.exit_code) == (WITH_REJECTIONS, 4)
    assert outcome.message == "completed with 9 of 10 rows rejected; x"
    both = Outcome("page", aside=frozenset({"x.wav"}), rejections=("9 of 10 rows rejected",))
    assert (both.state, both.exit_code) == (WITH_FAULTS, 3) and both.message.endswith("x.wav; 9 of 10 rows rejected")
    assert Outcome("page", warnings=("x",)).exit_code == Outcome("page").exit_code == 0
