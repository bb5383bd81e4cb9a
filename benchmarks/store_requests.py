"""python -m benchmarks.store_requests: the requests that each stage makes of an S3 store, and what a shard more costs.

Every request goes through a proxy that counts it by what it asks for, on its way to a real gateway (JuiceFS, of the
`dev` extra). The same made-up utterances are spread over 4 shards and over 8: the difference, divided by 4, is a
shard's share, for one scanned source file and for as many days as there are.
"""

import argparse
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import s3fs
from rich.console import Console
from rich.table import Table

from benchmarks.scale import DIM, MODEL, STAGES, Run
from benchmarks.synthetic import write_model, write_sources
from tasks.config.stages import RayConfig
from tests.fixtures.services.embedded_ray import embedded_ray
from tests.fixtures.services.gateway import Gateway
from tests.fixtures.services.wire import Wire

BUCKET = "scale"
KINDS = ("LIST", "HEAD", "GET", "PUT", "DELETE")
FEWER, MORE = 4, 8
COUNTED = ("ingest", "extract", "label", "label, all there", "verify", "query one day")
OUT = Path(__file__).with_name("store_requests.json")


def kind(method: str, path: str) -> str:
    """What a request is, as a store's price list has it."""
    parts = urlsplit(path)
    asked = parse_qs(parts.query, keep_blank_values=True)
    if method == "GET" and ("list-type" in asked or parts.path.count("/") < 2 or parts.path.endswith(f"/{BUCKET}/")):
        return "LIST"
    if method == "POST":
        return "DELETE" if "delete" in asked else "PUT"
    return method


@contextmanager
def counted(folder: Path) -> Iterator[Wire]:
    """A gateway with a bucket, a wire before it that keeps what is asked, and an environment that leads there."""
    gateway = Gateway(folder)
    gateway.start()
    before = dict(os.environ)
    try:
        with Wire(gateway).open() as wire:
            os.environ.update(wire.environment)
            s3fs.S3FileSystem().mkdir(BUCKET)
            yield wire
    finally:
        os.environ.clear()
        os.environ.update(before)
        gateway.stop()


def count(wire: Wire, run: Run) -> dict[str, dict[str, int]]:
    """The requests of every stage in turn."""
    write_model(run.workspace, {"text": DIM}, MODEL)
    requests = {}
    for name in COUNTED:
        wire.reset()
        STAGES[name][0](run)
        counts = Counter(kind(asked.method, f"{asked.path}?{asked.query}") for asked in wire.requests)
        requests[name] = {kind: counts[kind] for kind in KINDS}
        print(f"{run.shards} shards, {name}: {sum(requests[name].values())} requests", flush=True)
    return requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    options = parser.parse_args()
    requests: dict[int, dict[str, dict[str, int]]] = {}
    with tempfile.TemporaryDirectory(prefix="req-") as scratch:
        sources = Path(scratch) / "sources"
        write_sources(sources, options.utterances, options.days)
        with counted(Path(scratch) / "store") as wire, embedded_ray(RayConfig(cpus=2)):
            for shards in (FEWER, MORE):
                run = Run(str(sources), f"s3://{BUCKET}/{shards}", shards=shards, days=options.days)
                requests[shards] = count(wire, run)
    table = Table(caption=f"{options.days} days; requests a shard, and those that are there without any")
    for column in ("stage", *KINDS, "of the run"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name in COUNTED:
        few, many = (requests[shards][name] for shards in (FEWER, MORE))
        each = {kind: (many[kind] - few[kind]) / (MORE - FEWER) for kind in KINDS}
        rest = sum(few.values()) - FEWER * sum(each.values())
        table.add_row(name, *(f"{each[kind]:.1f}" for kind in KINDS), f"{rest:.0f}")
    Console().print(table)
    options.out.write_text(json.dumps({"days": options.days, "requests": requests}, indent=1) + "\n")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
