"""What `sdt features` prints: tables of what there is, of what it looks like and of what would go."""

from collections.abc import Sequence

from flows.reports.markdown import table, together
from tasks.features.catalog import FeatureSet
from tasks.features.convert import Conversion
from tasks.features.describe import Description
from tasks.features.prune import Removal

_MOST_REASONS = 10  # of one extractor
_MOST_MODELS = 2


def list_page(sets: Sequence[FeatureSet]) -> str:
    """A row for each extractor's features of a modality of an archive."""
    if not sets:
        return "There are no features.\n\nMake some with: sdt extract ARCHIVE"
    header = ("archive", "modality", "extractor", "fingerprint", "dimension", "utterances", "present", "failed", "size",
              "state", "models")  # fmt: skip
    return table(header, [_list_row(features) for features in sets])


def _list_row(features: FeatureSet) -> Sequence[object]:
    archive, modality, fingerprint = features.place
    counts = features.manifest.counts if features.manifest else {}
    rows = tuple(counts.get(name, "") for name in ("rows", "present", "failed"))
    more = [f"and {len(features.models) - _MOST_MODELS} more"] if len(features.models) > _MOST_MODELS else []
    models = ", ".join([*features.models[:_MOST_MODELS], *more])
    what = archive, modality, _extractor(features), fingerprint, features.facts.dim if features.facts else ""
    return *what, *rows, _size(features.bytes), features.state, models


def describe_page(archive: str, descriptions: Sequence[Description]) -> str:
    """Coverage, values and cost of every extractor's features, and why vectors are missing."""
    coverage = ("modality", "extractor", "fingerprint", "utterances", "present", "absent", "failed", "state")
    values = ("modality", "extractor", "dimension", "mean", "deviation", "dead dimensions", "bytes an utterance",
              "s per 1,000 utterances", "s per hour of media")  # fmt: skip
    reasons = [row for description in descriptions for row in _reasons(description, description.reasons)]
    partial = [row for description in descriptions for row in _reasons(description, description.partial)]
    return together(
        [
            f"## Features: archive {archive}",
            table(coverage, [_coverage(description) for description in descriptions]),
            table(values, [_values(description) for description in descriptions]),
            *([table(("modality", "extractor", "no vector because", "utterances"), reasons)] if reasons else []),
            *([table(("modality", "extractor", "vector in spite of", "utterances"), partial)] if partial else []),
            "A dead dimension has the same value everywhere. Seconds are a worker's own, of rows that were not copied.",
        ]
    )


def _coverage(description: Description) -> Sequence[object]:
    _, modality, fingerprint = description.features.place
    share = f"{description.present / description.rows:.1%}" if description.rows else ""
    numbers = description.rows, share, description.rows - description.present - description.failed, description.failed
    return modality, _extractor(description.features), fingerprint, *numbers, description.features.state


def _values(description: Description) -> Sequence[object]:
    values = description.values
    spread = (f"{values.mean:.4g}", f"{values.deviation:.4g}", values.dead) if values else ("", "", "")
    each = description.bytes // description.rows if description.rows else ""
    cost = (_seconds(description.cost.per_thousand), _seconds(description.cost.per_media_hour))
    dim = description.features.facts.dim if description.features.facts else ""
    return description.features.place[1], _extractor(description.features), dim, *spread, each, *cost


def _reasons(description: Description, reasons: dict[str, int]) -> list[Sequence[object]]:
    shown = list(reasons.items())[:_MOST_REASONS]
    rest = sum(reasons.values()) - sum(count for _, count in shown)
    rows = [*shown, *([("other reasons", rest)] if rest else [])]
    return [(description.features.place[1], _extractor(description.features), *row) for row in rows]


def prune_page(removals: Sequence[Removal], removed: bool) -> str:
    """What went, or would go."""
    if not removals:
        return "There is nothing to remove."
    rows = [
        (removal.folder, "all" if removal.whole else len(removal.files), _size(removal.bytes), removal.why)
        for removal in removals
    ]
    total = _size(sum(removal.bytes for removal in removals))
    end = f"Removed: {total}" if removed else f"Nothing was removed. With --yes this frees {total}."
    return together([table(("folder", "files", "size", "because"), rows), end])


def convert_page(archive: str, conversions: Sequence[Conversion]) -> str:
    """What was written anew."""
    if not conversions:
        return f"There is nothing to convert: all features of archive {archive} are stored as they are today."
    rows = [
        (done.place.modality, done.place.extractor, done.files, _size(done.before), _size(done.now))
        for done in conversions
    ]
    return table(("modality", "extractor", "files written anew", "size before", "size"), rows)


def _extractor(features: FeatureSet) -> str:
    facts = features.facts
    return "" if facts is None else f"{facts.extractor}{'' if facts.storage == 'float32' else f', {facts.storage}'}"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
