"""What is to be labelled, and by what: all that a day's labels depend on, and the shards that they are made in."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sdt_model.bundle import Bundle
from tasks.archive.layout import label_path
from tasks.executor.shard import Shard
from tasks.features.reader import FeatureFolder
from tasks.label.days import Day
from tasks.storage.manifest import Manifest, ShardRecord, fingerprint
from tasks.storage.workspace import Workspace

CODE_VERSION = 4
_BATCH = 1024  # where a batch's size stood, of which labels no longer depend: those of the default stay current


@dataclass(frozen=True)
class LabelTask:
    """One day of one utterance shard.

    Attributes:
        utterances: the shard.
        day: the labels depend on this day alone.
        days: all that are labelled of this shard, so that it is read once.
        run_id: of the day, for its rows.
    """

    utterances: ShardRecord
    day: str
    days: frozenset[str]
    run_id: str


@dataclass(frozen=True)
class LabelPlan:
    """What every worker needs to know."""

    workspace: Workspace
    archive: str
    bundle: Bundle
    folders: tuple[FeatureFolder, ...]
    batch_utterances: int
    archive_fingerprint: str = ""

    def run_id(self, day: Day) -> str:
        """In every row of the day: the fingerprint of all that its labels depend on."""
        made_by = [source.fingerprint for source in self.bundle.features.values()]
        # A model that was calibrated before its students were has labels from then, which stay current.
        alone = self.bundle.student_temperatures
        calibrated = [self.bundle.calibration_temperature, alone] if alone else []
        return fingerprint(CODE_VERSION, day.content, made_by, self.bundle.model_id, _BATCH, *calibrated)

    def is_current(self, day: Day, manifest: Manifest | None) -> bool:
        """Whether a day's labels are those that this plan makes."""
        return manifest is not None and manifest.fingerprint == self.run_id(day)


def shards_by_day(plan: LabelPlan, days: Sequence[Day]) -> dict[str, list[Shard[LabelTask]]]:
    """A shard for each day and utterance shard that holds some of it; those of one utterance shard follow another."""
    wanted: dict[str, set[str]] = defaultdict(set)
    records: dict[str, ShardRecord] = {}
    for day in days:
        for record in day.shards:
            wanted[record.path].add(day.name)
            # There are as many tasks as days and shards, and what a shard's record says of its days would be in each.
            records.setdefault(record.path, record.model_copy(update={"facts": {}, "counts": {}}))
    named = {path: frozenset(names) for path, names in wanted.items()}
    shards: dict[str, list[Shard[LabelTask]]] = {}
    index = 0
    for day in days:
        run_id = plan.run_id(day)
        shards[day.name] = []
        for record in day.shards:
            task = LabelTask(records[record.path], day.name, named[record.path], run_id)
            path = label_path(plan.archive, day.name, record.index, run_id)
            shards[day.name].append(Shard(index, path, task, source=record.path))
            index += 1
    return shards
