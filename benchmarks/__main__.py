"""make bench: the model's speed beside the padded baseline; a table here, the same as JSON in benchmarks/speed.json."""

import argparse
import json
import platform
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed import Row, row, table
from benchmarks.workers import rate
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.ops.precision import uses_bf16_matmul

# What is measured at which width, on how many dialogues a batch.
CURVES = [
    ("train", 1024, (8, 16, 32)),
    ("train", 512, (8,)),
    ("train", 256, (8,)),
    ("train in bfloat16", 1024, (8, 16, 32)),  # against the float32 baseline and product, where the processor has it
    ("train in bfloat16", 512, (8,)),
    ("infer", 1024, (8, 32, 64, 128)),
    ("infer", 512, (32,)),
    ("infer", 256, (32,)),
]
# Processes that share the cores, at this width and global batch.
WORKERS, WORKERS_WIDTH, WORKERS_DIALOGUES = (1, 2), 1024, 16
OUT = Path(__file__).with_name("speed.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12, help="batches a row")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    options = parser.parse_args()
    keep_freed_memory()  # as training workers do; the baseline has the good of it too
    rows: list[Row] = []
    for what, width, sizes in CURVES:
        if what == "train in bfloat16" and not uses_bf16_matmul(torch.device("cpu"), "auto", width):
            continue
        for size in sizes:
            rows.append(row(what, size, width, options.steps))
            print(f"{what}, width {width}, {size} dialogues: {rows[-1].ours:.0f} utterances/s", flush=True)
    shared = {str(count): rate(count, WORKERS_DIALOGUES, WORKERS_WIDTH, options.steps) for count in WORKERS}
    machine = {"threads": torch.get_num_threads(), "torch": torch.__version__, "processor": platform.machine()}
    options.out.write_text(json.dumps({"machine": machine, "rows": table(rows), "workers": shared}, indent=1) + "\n")
    Console(width=150).print(rates_table(rows, f"torch {machine['torch']}, {machine['threads']} threads"))
    for count, speed in shared.items():
        print(f"train, width {WORKERS_WIDTH}, {WORKERS_DIALOGUES} dialogues, {count} workers: {speed:.0f} utterances/s")
    print(f"written to {options.out}")


def rates_table(rows: list[Row], caption: str) -> Table:
    """Rates in utterances a second; GEMM: the share of the machine's own matrix-product rate in the same run, by the
    operations done; MFU: the same by the published network's operations."""
    rich_table = Table(caption=caption)
    for name in (
        "",
        "width",
        "dialogues",
        "utt/batch",
        "ours utt/s",
        "GEMM",
        "MFU",
        "MiB",
        "padded utt/s",
        "GEMM",
        "MiB",
        "x",
    ):
        rich_table.add_column(name, justify="right" if name else "left")
    for one in rows:
        rich_table.add_row(
            one.what, str(one.width), str(one.dialogues), f"{one.utterances:.0f}",
            f"{one.ours:.0f}", f"{one.ours_share:.0%}", f"{one.ours_mfu:.0%}", str(one.ours_mib),
            f"{one.padded:.0f}", f"{one.padded_share:.0%}", str(one.padded_mib), f"{one.ratio:.1f}",
        )  # fmt: skip
    return rich_table


if __name__ == "__main__":
    main()
