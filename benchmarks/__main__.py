"""make bench: the model's speed beside the padded baseline; a table here, the same as JSON in benchmarks/speed.json."""

import argparse
import json
import platform
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed import Row, inference_row, table, training_row

OUT = Path(__file__).with_name("speed.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12, help="batches a row")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    given = parser.parse_args()
    rows: list[Row] = []
    for width, sizes in ((1024, (8, 16, 32)), (512, (8,)), (256, (8,))):
        rows += [training_row(size, width, given.steps) for size in sizes]
    for width, sizes in ((1024, (8, 32, 64, 128)), (512, (32,)), (256, (32,))):
        rows += [inference_row(size, width, given.steps) for size in sizes]
    machine = {"threads": torch.get_num_threads(), "torch": torch.__version__, "processor": platform.machine()}
    given.out.write_text(json.dumps({"machine": machine, "rows": table(rows)}, indent=1) + "\n")
    Console(width=150).print(shown(rows, f"torch {machine['torch']}, {machine['threads']} threads, float32"))
    print(f"written to {given.out}")


def shown(rows: list[Row], caption: str) -> Table:
    """Rates in utterances a second; GEMM: the share of the machine's own matrix-product rate in the same run."""
    found = Table(caption=caption)
    for name in (
        "",
        "width",
        "dialogues",
        "utt/batch",
        "ours utt/s",
        "GEMM",
        "MiB",
        "padded utt/s",
        "GEMM",
        "MiB",
        "x",
    ):
        found.add_column(name, justify="right" if name else "left")
    for row in rows:
        found.add_row(
            row.what, str(row.width), str(row.dialogues), f"{row.utterances:.0f}",
            f"{row.ours:.0f}", f"{row.ours_share:.0%}", str(row.ours_mib),
            f"{row.padded:.0f}", f"{row.padded_share:.0%}", str(row.padded_mib), f"{row.ratio:.1f}",
        )  # fmt: skip
    return found


if __name__ == "__main__":
    main()
