"""Where everything lies in a workspace: each path is built here, and taken apart here.

archives/<archive>/                                 utterances, rejected rows, and what ingest scans
features/<archive>/<modality>/<extractor>/          feature shards by the extractor with this fingerprint
models/<model>/   models/production.json            trained models; checkpoints of those in the making in models/.runs/
encoders/<encoder>/                                 fine-tuned text encoders; likewise encoders/.runs/
labels/<archive>/date=<day>/                        label shards
evaluations/<archive>/                              reports, and the counts that they come from
leases/                                             who is writing what
runs/<run>.json                                     what each run did; names sort by when it began

A folder is complete when its manifest, or a model's or encoder's description, is there.
"""

import re
from typing import NamedTuple, cast

from sdt_model.config import Modality
from tasks.storage.manifest import MANIFEST, ShardRecord
from tasks.storage.workspace import checked_name

ARCHIVES, FEATURES, LABELS, MODELS, ENCODERS = "archives", "features", "labels", "models", "encoders"
RUNS, LEASES = "runs", "leases"
PRUNE_LEASES, PRODUCTION_LEASES = f"{LEASES}/.prune", f"{LEASES}/.production"
PRODUCTION = f"{MODELS}/production.json"
MODEL_RUNS, ENCODER_RUNS = f"{MODELS}/.runs", f"{ENCODERS}/.runs"
"""Checkpoints of trainings, until the model or encoder is complete."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # as `checked_name` has it
_ARCHIVE = re.compile(rf"[a-z]+/({_NAME})/.+")
_ARCHIVE_MANIFEST = re.compile(rf"{ARCHIVES}/({_NAME})/{MANIFEST}")
_FEATURES = re.compile(rf"{FEATURES}/({_NAME})/(text|audio|visual)/([^/]+)(?:/.*)?")
_FEATURE_SHARD = re.compile(rf"{FEATURES}/[^/]+/[^/]+/[^/]+/part-(\d+)-[^/]*\.parquet")
_DAY = re.compile(rf"{LABELS}/({_NAME})/date=([^/]+)/([^/]+)")
_LABEL_SHARD = re.compile(r".*/part-(\d+)-[^/]+\.parquet")
_RUN = re.compile(rf"{RUNS}/(\d{{8}}T\d{{6}}Z-{_NAME})\.json")
_DESCRIPTION = re.compile(rf"({MODELS}|{ENCODERS})/({_NAME})/([^/]+)")


class FeaturesPlace(NamedTuple):
    """Whose features lie in a folder."""

    archive: str
    modality: Modality
    extractor: str
    """Its fingerprint."""


class DayPlace(NamedTuple):
    """Whose labels lie in a folder."""

    archive: str
    day: str


def manifest_path(folder: str) -> str:
    """What says that all that belongs in a folder is there."""
    return f"{folder}/{MANIFEST}"


def shard_file(folder: str, index: int) -> str:
    """A shard's file in a folder that holds one generation of shards."""
    return f"{folder}/part-{index:05d}.parquet"


# --- archives


def archive_folder(archive: str) -> str:
    """All that belongs to an archive's utterances."""
    return f"{ARCHIVES}/{checked_name(archive, 'archive')}"


def archive_manifest_path(archive: str) -> str:
    """Manifest of the archive's utterance shards; replaced in one step when the archive is ingested anew."""
    return manifest_path(archive_folder(archive))


def archive_of_manifest(path: str) -> str | None:
    """The archive of an `archive_manifest_path`; None for any other path."""
    match = _ARCHIVE_MANIFEST.fullmatch(path)
    return match[1] if match else None


def archive_of(path: str) -> str | None:
    """The archive that a file below archives/, features/ or labels/ belongs to."""
    match = _ARCHIVE.fullmatch(path)
    return match[1] if match else None


def utterances_folder(archive: str, ingest: str = "") -> str:
    """Utterance shards (`shard_file`) of the ingest with this fingerprint; without one, of all ingests."""
    return f"{ARCHIVES}/{archive}/utterances" + (f"/{ingest}" if ingest else "")


def rejected_folder(archive: str, ingest: str = "") -> str:
    """Rows of an ingest that could not be used, one file beside each utterance shard; or of all ingests."""
    return f"{ARCHIVES}/{archive}/rejected" + (f"/{ingest}" if ingest else "")


def rejected_path(archive: str, utterances: str) -> str:
    """Where the rejected rows of an utterance shard lie, by the path of that."""
    return utterances.replace(utterances_folder(archive), rejected_folder(archive), 1)


def scan_folder(archive: str, scan: str = "") -> str:
    """What ingest has read of the source's files (`shard_file`), removed when it is done."""
    return f"{ARCHIVES}/{archive}/scan" + (f"/{scan}" if scan else "")


# --- features


def archive_features_folder(archive: str) -> str:
    """All features of an archive."""
    return f"{FEATURES}/{checked_name(archive, 'archive')}"


def features_folder(archive: str, modality: Modality, extractor: str = "") -> str:
    """Feature shards made by the extractor with this fingerprint; without one, by any."""
    return f"{archive_features_folder(archive)}/{modality}" + (f"/{extractor}" if extractor else "")


def features_place(path: str) -> FeaturesPlace | None:
    """Whose features they are, from their folder or any file in it; None for any other path."""
    match = _FEATURES.fullmatch(path)
    return FeaturesPlace(match[1], cast(Modality, match[2]), match[3]) if match else None


def features_path(folder: str, utterances: ShardRecord) -> str:
    """Feature shard of an utterance shard, named by its content: an unchanged shard keeps its features."""
    return f"{folder}/part-{utterances.index:05d}-{utterances.sha256[:12]}.parquet"


def shard_number(path: str) -> int | None:
    """The number of the shard that a file of a features folder holds; None where it is no feature shard."""
    match = _FEATURE_SHARD.fullmatch(path)
    return int(match[1]) if match else None


def timing_path(features: str) -> str:
    """Where it is noted how long a feature shard took: what the clock says is no part of the shard."""
    folder, _, name = features.rpartition("/")
    return f"{folder}/timing/{name}"


# --- labels


def labels_folder(archive: str) -> str:
    """A folder for each day."""
    return f"{LABELS}/{archive}"


def day_folder(archive: str, day: str) -> str:
    """Labels of one day: a Hive partition."""
    return f"{labels_folder(archive)}/date={day}"


def day_of(path: str) -> DayPlace | None:
    """Whose labels they are, from any file in a `day_folder`; None for any other path."""
    match = _DAY.fullmatch(path)
    return DayPlace(match[1], match[2]) if match else None


def day_manifest(archive: str, day: str) -> str:
    """What makes a day's labels the current ones."""
    return manifest_path(day_folder(archive, day))


def day_of_manifest(path: str) -> DayPlace | None:
    """Whose labels a `day_manifest` makes current; None for any other path."""
    place = day_of(path)
    return place if place and path == day_manifest(*place) else None


def label_path(archive: str, day: str, shard: int, run_id: str) -> str:
    """Labels of a day's conversations in one utterance shard."""
    return f"{day_folder(archive, day)}/part-{shard:05d}-{run_id}.parquet"


def shard_of_labels(path: str) -> int:
    """The number of the utterance shard of a `label_path`. Raises: ValueError: it is none."""
    match = _LABEL_SHARD.fullmatch(path)
    if match is None:
        raise ValueError(f"{path} is no file of labels")
    return int(match[1])


# --- models, encoders, evaluations, leases


def model_folder(model_id: str) -> str:
    """A trained model's files."""
    return f"{MODELS}/{checked_name(model_id, 'model')}"


def encoder_folder(encoder_id: str) -> str:
    """A fine-tuned encoder's files; its folds lie in folders of their own."""
    return f"{ENCODERS}/{checked_name(encoder_id, 'encoder')}"


def name_of_description(path: str, description: str) -> str | None:
    """The model or encoder that is complete by the file ``description`` in its folder; None for any other path."""
    match = _DESCRIPTION.fullmatch(path)
    return match[2] if match and match[3] == description else None


def evaluation_path(archive: str, evaluation: str) -> str:
    """What an evaluation found."""
    return f"evaluations/{archive}/{evaluation}.json"


def scores_path(archive: str, model_id: str, scores: str) -> str:
    """A model's counts on an archive, that evaluations are made from."""
    return f"evaluations/{archive}/scores/{model_id}-{scores}.parquet"


def run_path(run_id: str) -> str:
    """The record of a run."""
    return f"{RUNS}/{run_id}.json"


def run_of_path(path: str) -> str | None:
    """The run whose record a file is, by its name; None for any other."""
    match = _RUN.fullmatch(path)
    return match[1] if match else None


def label_leases(archive: str) -> str:
    """Leases on days of an archive's labels."""
    return f"{LEASES}/{archive}"


def archive_leases(archive: str) -> str:
    """Leases on an archive's utterances."""
    return f"{LEASES}/.archives/{archive}"


def features_leases(archive: str, modality: Modality, extractor: str) -> str:
    """Leases on one extractor's features of an archive."""
    return f"{LEASES}/.features/{archive}/{modality}/{extractor}"


def making_leases(kind: str, name: str) -> str:
    """Leases on the making of a model or an encoder."""
    return f"{LEASES}/.{kind}s/{name}"
