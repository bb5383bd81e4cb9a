"""Label: feature shards and a bundle to label rows, exactly one per utterance, in a folder for each day.

A day's labels depend on its own conversations, their features and the model, on no other day: an archive that grows
keeps the labels of its earlier days. A conversation belongs to the day on which it began (`tasks.archive.days`). What
comes in later, the rest of a conversation past midnight or an utterance that arrives late, changes that day; it is
labelled again when it is next asked for or looked back to, and until then the report names it as out of date.

Nothing here imports torch: the workers do (`tasks.label.worker`).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tasks.archive.facts import LabelFacts
from tasks.archive.layout import day_folder, day_manifest
from tasks.archive.leases import labels_of
from tasks.archive.manifests import read_archive
from tasks.config.stages import LabelConfig
from tasks.errors import WorkflowError
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, ShardFunction, shard_columns
from tasks.features.reader import feature_folders
from tasks.label.days import Day, all_out_of_date, archive_days, chosen_days
from tasks.label.manifests import DayFiles, clear_day, label_files, labelled_days
from tasks.label.plan import LabelPlan, LabelTask, shards_by_day
from tasks.label.report import LabelReport, label_report
from tasks.registry.models import find_bundle
from tasks.storage.lease import Lease, lease
from tasks.storage.manifest import Manifest, ShardRecord, incomplete_shards, remove_damaged, usable_manifest
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.label")


def label(config: LabelConfig, run: str = "") -> LabelReport:
    """Label the utterances of an archive's days; those whose labels are there are left as they are.

    ``run`` is how a second run that finds these days taken is told who has them.

    Raises:
        WorkflowError: no such archive or model, no features of the model's extractors, or another run labels the days.
        StageFailed: some shards could not be labelled.
    """
    if (report := _existing(config)) is not None:
        return report
    workspace = Workspace(config.workspace)
    with lease(workspace, labels_of(config.archive, config.reach), config.lease_s, run) as claim:
        plan, days = _plan(config)  # again: the run that this one has waited for may have labelled, or ingested
        state = _read_state(plan, config, days)
        remove_damaged(workspace, state.damaged, "label")
        labelled = state.labelled | _label_days(plan, config, state.missing, claim)
        superseded = _superseded(config, days, state.files, labelled)
        if None in superseded.values():
            _check_archive(plan)
        for name, manifest in superseded.items():
            claim.check()
            clear_day(plan.workspace, config.archive, name, manifest)
            if manifest is None:
                labelled.pop(name, None)
    new_days = tuple(day.name for day in state.missing)
    return label_report(config, plan.bundle, state.chosen, labelled, new_days, all_out_of_date(days, labelled))


def _check_archive(plan: LabelPlan) -> None:
    """Labels of days that the archive no longer has go only if that is so now."""
    if read_archive(plan.workspace, plan.archive).fingerprint != plan.archive_fingerprint:
        raise WorkflowError(
            f"label: archive {plan.archive!r} was ingested anew while it was labelled\n"
            "  run the same command again: what is labelled already is not labelled again"
        )


def _existing(config: LabelConfig) -> LabelReport | None:
    """The report of labels that are all there, so that nothing is to be changed; else None."""
    plan, days = _plan(config)
    state = _read_state(plan, config, days)
    if state.missing or _superseded(config, days, state.files, state.labelled):
        return None
    log.info("label: nothing to do, the labels of %d days exist", len(state.chosen))
    return label_report(config, plan.bundle, state.chosen, state.labelled, (), all_out_of_date(days, state.labelled))


@dataclass(frozen=True)
class _State:
    """The labels of an archive as they are.

    Attributes:
        files: in each day's folder, the manifest among them.
        labelled: the manifest of each day that has labels.
        chosen: the days to be labelled.
        missing: those of them whose labels are not the plan's, or are damaged.
        damaged: files of labels that are not as their manifests say, and what is wrong with each.
    """

    files: dict[str, dict[str, int]]
    labelled: dict[str, Manifest]
    chosen: list[Day]
    missing: list[Day]
    damaged: dict[str, str]


def _plan(config: LabelConfig) -> tuple[LabelPlan, dict[str, Day]]:
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    bundle = find_bundle(workspace, config.model)
    folders, features = feature_folders(workspace, archive, bundle, config.archive)
    plan = LabelPlan(workspace, config.archive, bundle, folders, config.batch_utterances, archive.fingerprint)
    return plan, archive_days(archive, config.archive, features)


def _read_state(plan: LabelPlan, config: LabelConfig, days: Mapping[str, Day]) -> _State:
    files = label_files(plan.workspace, config.archive)
    labelled = labelled_days(plan.workspace, config.archive, files, usable_manifest)
    chosen = chosen_days(config, days, labelled)
    current = [day for day in chosen if plan.is_current(day, labelled.get(day.name))]
    shards = [shard for day in current for shard in labelled[day.name].shards]
    sizes = {path: size for day in current for path, size in files[day.name].items()}
    damaged = incomplete_shards(plan.workspace, shards, sizes, config.check)
    whole = {day.name for day in current if not damaged.keys() & {shard.path for shard in labelled[day.name].shards}}
    return _State(files, labelled, chosen, [day for day in chosen if day.name not in whole], damaged)


def _superseded(
    config: LabelConfig, days: Mapping[str, Day], files: DayFiles, labelled: Mapping[str, Manifest]
) -> dict[str, Manifest | None]:
    """The days whose folders hold files that are to go, and the manifest whose files stay; None: all of them go."""
    within = [name for name in files if config.reach.contains(name)]
    gone: dict[str, Manifest | None] = {name: None for name in within if name not in days}
    # More files than a manifest names: a run died before it had tidied up.
    untidy = {n: labelled[n] for n in within if n in labelled and len(files[n]) > len(labelled[n].shards) + 1}
    return untidy | gone


def _label_days(plan: LabelPlan, config: LabelConfig, days: list[Day], claim: Lease) -> dict[str, Manifest]:
    shards = shards_by_day(plan, days)
    every = [shard for day in days for shard in shards[day.name]]
    records = fan_out("label", every, partial(_prepare, plan), config) if every else {}
    manifests = {}
    for day in days:
        claim.check()
        manifests[day.name] = _finish_day(plan, day, shards[day.name], records)
    return manifests


def _prepare(plan: LabelPlan) -> ShardFunction[LabelTask]:
    from tasks.label.worker import prepare  # torch takes seconds to import: the workers need it, the driver does not

    return prepare(plan)


def _finish_day(
    plan: LabelPlan, day: Day, shards: list[Shard[LabelTask]], records: Mapping[int, ShardRecord]
) -> Manifest:
    """Make a day's new labels the current ones, in one step, then remove those they replace.

    Raises:
        WorkflowError: they are not one for each utterance.
    """
    bundle = plan.bundle
    manifest = Manifest(
        stage="label",
        fingerprint=plan.run_id(day),
        # Numbered within the day: what else this run labels is nothing to the manifest.
        shards=tuple(records[shard.index].model_copy(update={"index": i}) for i, shard in enumerate(shards)),
        columns=shard_columns(plan.workspace, shards[0].path),
        facts=LabelFacts(
            archive=plan.archive,
            day=day.name,
            content=day.content,
            model_id=bundle.model_id,
            emotions=bundle.emotions,
        ).plain(),
    )
    if manifest.rows != day.rows:
        raise WorkflowError(
            f"{day_folder(plan.archive, day.name)}: {manifest.rows} utterances were labelled, and archive "
            f"{plan.archive!r} has {day.rows} of this day\n"
            "  remove the folder and label the day again; if it comes back, this is a fault of label"
        )
    manifest.write(plan.workspace, day_manifest(plan.archive, day.name))
    clear_day(plan.workspace, plan.archive, day.name, manifest)
    return manifest
