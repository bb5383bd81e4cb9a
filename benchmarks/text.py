"""python -m benchmarks.text [CSV]: how fast texts become vectors, beside SentenceTransformer.encode of the same model.

The texts are the column `Utterance` of a CSV file of MELD, or lines of the demo. They are taken in parts as large as a
shard. All runtimes take the same part in turn, after a matrix product, so that a noisy machine hurts all alike.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed import gemm_gflops
from tasks.demo.script import write_conversation
from tasks.demo.text import write_sentence
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import extractor_spec
from tasks.registry.encoders import minilm_folder

BASELINE = "SentenceTransformer.encode"
EXTRACTORS = {"hf:minilm": "torch, padded", "minilm": "OpenVINO", "minilm-int8": "OpenVINO, int8"}
OUT = Path(__file__).with_name("text.json")
_MOST_TOKENS = 256

Encode = Callable[[list[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        rate: texts a second, repeated ones counted.
        share: of the GEMM rate (0..1); computed is each text for the baseline, each distinct one for ours.
        ratio: of its rate to the baseline's on the same part; the median, lowest and highest of the parts.
        cosine: lowest and mean cosine to the baseline's vector.
    """

    what: str
    rate: float
    share: float
    ratio: tuple[float, float, float]
    cosine: tuple[float, float]


def measured(texts: list[str], parts: int) -> tuple[list[Row], float]:
    """Every runtime over every part of the texts, and the GEMM rate in GFLOP/s."""
    from sentence_transformers import SentenceTransformer

    baseline = SentenceTransformer(str(minilm_folder()), device="cpu")
    runs: dict[str, Encode] = {BASELINE: lambda part: baseline.encode(part, show_progress_bar=False)}
    runs |= {name: _extractor(name) for name in EXTRACTORS}
    shards = [list(part) for part in np.array_split(np.array(texts, object), parts)]
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    cosines: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in runs}
    for run in runs.values():
        run(shards[0][:64])  # a first time, not measured
    gemm = [gemm_gflops()]
    for part in shards:
        expected = None
        for name, run in runs.items():
            begin = time.perf_counter()
            vectors = run(part)
            seconds[name].append(time.perf_counter() - begin)
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            expected = vectors if expected is None else expected
            cosines[name].append((vectors * expected).sum(axis=1))
        gemm.append(gemm_gflops())
    rate = statistics.median(gemm)

    def row(name: str) -> Row:
        sizes = [(len(part), gigaflops(part if name == BASELINE else list(set(part)))) for part in shards]
        done = [(*size, took) for size, took in zip(sizes, seconds[name], strict=True)]
        ratios = [theirs / took for theirs, took in zip(seconds[BASELINE], seconds[name], strict=True)]
        cosine = np.concatenate(cosines[name])
        return Row(
            name,
            statistics.median(count / took for count, _, took in done),
            statistics.median(work / took for _, work, took in done) / rate,
            (statistics.median(ratios), min(ratios), max(ratios)),
            (float(cosine.min()), float(cosine.mean())),
        )

    return [row(name) for name in runs], rate


def gigaflops(texts: list[str]) -> float:
    """What the mathematics of the encoder needs for these texts, without padding; a multiply and an add are two."""
    from transformers import AutoConfig, AutoTokenizer

    folder = minilm_folder()
    config = AutoConfig.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    lengths = np.array([len(ids) for ids in tokenizer(texts, truncation=True, max_length=_MOST_TOKENS)["input_ids"]])
    width, inner = config.hidden_size, config.intermediate_size
    layer = lengths.sum() * (4 * width**2 + 2 * width * inner) + 2 * width * (lengths**2).sum()
    return float(2 * config.num_hidden_layers * layer / 1e9)


def texts_of(path: Path | None, count: int) -> list[str]:
    """The first texts of a file, or the demo's."""
    if path is not None:
        return pl.read_csv(path)["Utterance"].drop_nulls().to_list()[:count]
    chance = np.random.default_rng(0)
    lines = (line for number in range(count) for line in write_conversation(0, number))
    return [write_sentence(line.shown["text"], chance) for line, _ in zip(lines, range(count), strict=False)]


def _extractor(name: str) -> Encode:
    extractor, media = extractor_spec("text", name).load(), MediaRoot("memory://none")
    return lambda part: extractor(pa.table({"text": part}), media).vectors


def rates_table(rows: list[Row], caption: str) -> Table:
    rich_table = Table("", "texts/s", "GEMM", "x (lowest to highest)", "lowest cosine", "mean", caption=caption)
    for row in rows:
        middle, low, high = row.ratio
        name = f"{row.what} ({EXTRACTORS[row.what]})" if row.what in EXTRACTORS else row.what
        rich_table.add_row(
            name, f"{row.rate:.0f}", f"{row.share:.0%}", f"{middle:.2f} ({low:.2f} to {high:.2f})",
            f"{row.cosine[0]:.5f}", f"{row.cosine[1]:.5f}",
        )  # fmt: skip
    return rich_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, nargs="?", help="such as train_sent_emo.csv")
    parser.add_argument("--texts", type=int, default=10_000, help="at most so many")
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    options = parser.parse_args()
    texts = texts_of(options.csv, options.texts)
    rows, gemm = measured(texts, options.parts)
    distinct = len(set(texts)) / len(texts)
    caption = (
        f"{len(texts):,} texts, {distinct:.0%} distinct, {options.parts} parts, {torch.get_num_threads()} threads, "
        f"float32 GEMM {gemm:.0f} GFLOP/s"
    )
    Console(width=130).print(rates_table(rows, caption))
    facts = {"texts": len(texts), "distinct": distinct, "threads": torch.get_num_threads(), "gemm_gflops": gemm}
    options.out.write_text(json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
