"""python -m benchmarks.scale: from source files to labels with archives of different sizes, with memory and rates.

The archive, its features and its model are synthetic (`benchmarks.synthetic`): the workflow around the model is
measured, not the model. Shards are alike in all archives: a worker's memory is that of its shard. Each stage runs in a
process of its own, as its command does, with Ray embedded. Seconds leave the start of Python and of Ray out; core
seconds are those of all processes, their start included. Five million utterances take about 1 GB.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.process_peaks import Measured, run_measured
from benchmarks.synthetic import ARCHIVE, DAYS, FIRST_DAY, register_synthetic, write_model, write_sources
from sdt_model.config import ModelConfig
from tasks.archive.layout import day_folder
from tasks.archive.manifests import read_archive
from tasks.config.stages import (
    ExtractConfig,
    ExtractorNames,
    IngestConfig,
    LabelConfig,
    RayConfig,
    StageConfig,
    VerifyConfig,
)
from tasks.errors import WorkflowError
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.maintenance.verify import verify
from tasks.query import run_query
from tasks.storage.workspace import Workspace
from tests.fixtures.services.embedded_ray import embedded_ray

DIM, MODEL = 16, ModelConfig(hidden=16, heads=2)
ASKED = "SELECT emotion, COUNT(*) AS n FROM labels WHERE date = '{}' GROUP BY emotion ORDER BY n DESC"
OUT = Path(__file__).with_name("scale.json")


@dataclass(frozen=True)
class Run:
    """One archive: where its sources and its workspace are, and how it is worked on."""

    sources: str
    url: str
    """Of the workspace."""
    workers: int = 2
    shards: int | None = None
    """Absent: by the size of the sources."""
    days: int = DAYS
    night: bool = False
    """Label one day alone."""

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.url)

    @property
    def one_day(self) -> date:
        """One in the middle."""
        return (FIRST_DAY + timedelta(days=self.days // 2)).date()

    @property
    def config(self) -> StageConfig:
        ray = RayConfig(cpus=self.workers)
        return StageConfig(workspace=self.url, archive=ARCHIVE, ray=ray, workers=self.workers)


def run_ingest(run: Run) -> int:
    return ingest(IngestConfig(**dict(run.config), kind="table", path=run.sources, shards=run.shards)).rows


def run_extract(run: Run) -> int:
    register_synthetic()
    names = ExtractorNames(text=f"made-up:{DIM}")
    manifest = extract(ExtractConfig(**dict(run.config), extractors=names), "text")
    return manifest.rows if manifest else 0


def run_label(run: Run) -> int:
    day = {"since": run.one_day, "until": run.one_day} if run.night else {}
    return label(LabelConfig(**dict(run.config), **day)).rows


def run_verify(run: Run) -> int:
    report = verify(VerifyConfig(workspace=run.url, archive=ARCHIVE))
    if report.faults or report.notes:
        raise WorkflowError(f"the made-up archive is not whole: {report.faults[:3]} {report.notes[:3]}")
    return report.rows["labels"]


def run_one_day(run: Run) -> int:
    return int(run_query(run.workspace, ASKED.format(run.one_day)).collect()["n"].sum())


STAGES: dict[str, tuple[Callable[[Run], int], bool]] = {  # and whether it needs Ray
    "ingest": (run_ingest, True),
    "extract": (run_extract, True),
    "label": (run_label, True),
    "label, all there": (run_label, True),
    "label one day": (run_label, True),
    "verify": (run_verify, False),
    "query one day": (run_one_day, False),
}


def stage(name: str, run: Run) -> None:
    """Run one stage in this process; the last line says its rows, and its seconds without the start of Ray."""
    work, over_ray = STAGES[name]
    with embedded_ray(run.config.ray) if over_ray else nullcontext():
        began, computed = time.perf_counter(), time.process_time()
        rows = work(run)
        seconds, computed = time.perf_counter() - began, time.process_time() - computed
    print(json.dumps({"rows": rows, "seconds": seconds, "driver_core_s": computed}))


@dataclass(frozen=True)
class Row:
    """One stage over one archive."""

    utterances: int
    stage: str
    rows: int
    seconds: float
    driver_core_s: float
    core_s: float
    driver_mib: int
    workers_mib: list[int]

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def measure(run: Run, utterances: int) -> list[Row]:
    """Every stage in turn over a new archive in an empty workspace."""
    written = write_sources(Path(run.sources), utterances, run.days)
    write_model(run.workspace, {"text": DIM}, MODEL)
    rows = []
    for name in STAGES:
        run = replace(run, night=name == "label one day")
        if run.night:  # as when the archive has just got this day
            run.workspace.remove_folder(day_folder(ARCHIVE, str(run.one_day)))
        measured = alone(name, run)
        took = {"core_s": measured.core_s, "driver_mib": measured.driver_mib, "workers_mib": measured.workers_mib}
        rows.append(Row(written, name, **measured.result, **took))
        print(json.dumps(asdict(rows[-1])), flush=True)
    return rows


def alone(name: str, run: Run) -> Measured:
    """One stage in a process of its own."""
    return run_measured(f"from benchmarks.scale import Run, stage\nstage({name!r}, {run!r})")


def _size(run: Run) -> dict[str, object]:
    """Files and bytes of each folder, and of the manifests."""
    sizes = {folder: run.workspace.sizes(folder) for folder in ("archives", "features", "labels")}
    manifests = [size for files in sizes.values() for path, size in files.items() if path.endswith(".json")]
    return {
        "shards": len(read_archive(run.workspace, ARCHIVE).shards),
        "files": {folder: len(files) for folder, files in sizes.items()},
        "bytes": {folder: sum(files.values()) for folder, files in sizes.items()},
        "manifest_bytes": sum(manifests),
    }


def rates_table(rows: Sequence[Row]) -> Table:
    """Memory is the driver's and the largest worker's, and how much more that is than over the smallest archive."""
    smallest = {row.stage: row for row in rows if row.utterances == min(row.utterances for row in rows)}
    table = Table(caption=f"hidden {MODEL.hidden}, made-up features of {DIM}, {DAYS} days")
    for name in ("utterances", "stage", "rows", "s", "rows/s", "core s", "driver MiB", "+", "worker MiB", "+"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for row in rows:
        first = smallest[row.stage]
        worker, least = (max(each.workers_mib, default=0) for each in (row, first))
        table.add_row(
            f"{row.utterances:,}", row.stage, f"{row.rows:,}", f"{row.seconds:.2f}", f"{row.rate:,.0f}",
            f"{row.core_s:.1f}", str(row.driver_mib), f"{row.driver_mib / first.driver_mib - 1:+.1%}",
            str(worker or ""), f"{worker / least - 1:+.1%}" if worker and least else "",
        )  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, nargs="+", default=(500_000, 5_000_000), help="sizes of the archives")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shard-rows", type=int, default=100_000, help="utterances a shard")
    parser.add_argument("--folder", type=Path, help="where the archives are made for a while; absent: a temporary one")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    options = parser.parse_args()
    rows: list[Row] = []
    sizes: dict[int, dict[str, object]] = {}
    for utterances in options.utterances:
        with tempfile.TemporaryDirectory(prefix="scale-", dir=options.folder) as scratch:
            shards = math.ceil(utterances / options.shard_rows)
            run = Run(f"{scratch}/sources", f"{scratch}/workspace", options.workers, shards)
            rows += measure(run, utterances)
            sizes[utterances] = _size(run)
    options.out.write_text(json.dumps({"rows": [asdict(row) for row in rows], "sizes": sizes}, indent=1) + "\n")
    Console(width=130).print(rates_table(rows))
    for utterances, size in sizes.items():
        print(f"{utterances:,} utterances: {json.dumps(size)}")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
