"""python -m benchmarks.media: sound to features on one worker and on two, and the memory of a worker over hours of it.

The sound is the demo's made-up speech, a minute in each of wav, mp3 and m4a, cut into utterances of five seconds. A
shard reads all three. Workers are those of the stage, over Ray. Their rate is that of all shards but each worker's
first, which bears its start; one and two workers take turns. Memory is that of a process that does one shard after
another; ten hours take about a quarter of an hour.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import soundfile
from rich.console import Console
from rich.table import Table

from benchmarks.speed import peak_memory_mib
from tasks.archive.schema import UTTERANCES
from tasks.config.stages import RayConfig, StageConfig
from tasks.demo.script import stream, write_conversation
from tasks.demo.sound import RATE, draw_voice, speak
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, run_shard
from tasks.extract.cache import Earlier
from tasks.extract.stage import ExtractPlan, prepare
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import extractor_spec
from tasks.storage.workspace import Workspace
from tests.fixtures.services.embedded_ray import embedded_ray

RECORDING_S, UTTERANCE_S = 60, 5
ENDINGS = (".wav", ".mp3", ".m4a")
EXTRACTOR = "opensmile:eGeMAPSv02"
OUT = Path(__file__).with_name("media.json")

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Media:
    """A folder with recordings and utterance shards that name them, one recording of each ending a shard."""

    folder: str
    shards: int

    @classmethod
    def make(cls, folder: Path, hours: float) -> "Media":
        samples = speech(RECORDING_S)
        for ending in ENDINGS:
            write_recording(folder / f"speech{ending}", samples)
        media = cls(str(folder), max(1, round(hours * 3600 / RECORDING_S / len(ENDINGS))))
        for number in range(media.shards):
            media.workspace.write_table(f"utterances/{number}.parquet", _utterances(number))
        return media

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder)

    def tasks(self, run: str) -> list[Shard[str]]:
        return [
            Shard(number, f"{run}/{number}.parquet", f"utterances/{number}.parquet") for number in range(self.shards)
        ]

    @property
    def prepared(self) -> partial:
        nothing = Earlier.among((), ())
        spec, media = extractor_spec("audio", EXTRACTOR), MediaRoot(self.folder)
        return partial(prepare, ExtractPlan(self.workspace, spec, media, nothing))


def speech(seconds: int) -> Samples:
    """One voice after another, as long as asked."""
    parts: list[Samples] = []
    number = 0
    while sum(map(len, parts)) < seconds * RATE:
        for line in write_conversation(0, number):
            chance = stream(0, "audio", line.conversation, line.turn)
            parts.append(speak(draw_voice(chance), line.shown["audio"], chance))
        number += 1
    return np.concatenate(parts)[: seconds * RATE]


def write_recording(path: Path, samples: Samples) -> None:
    """In the format that the file's ending names."""
    if path.suffix != ".m4a":
        soundfile.write(path, samples, RATE)
        return
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=RATE)
        track.layout = "mono"
        size = 1024
        for begin in range(0, len(samples), size):
            frame = av.AudioFrame.from_ndarray(samples[None, begin : begin + size].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
            container.mux(track.encode(frame))
        container.mux(track.encode())


def rate(media: Media, run: str, workers: int) -> float:
    """Seconds of sound a second of so many workers, each worker's first shard left out."""
    config = StageConfig(workspace=media.folder, archive="benchmark", workers=workers)
    fan_out("extract-audio", media.tasks(run), media.prepared, config)
    done = sorted((Path(media.folder) / task.path).stat().st_mtime for task in media.tasks(run))
    return (media.shards - workers) * RECORDING_S * len(ENDINGS) / (done[-1] - done[workers - 1])


def peak_mib(media: Media) -> int:
    """Largest memory of a process of its own that does every shard."""
    code = f"from benchmarks.media import Media, alone; print(alone(Media({media.folder!r}, {media.shards})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def alone(media: Media) -> int:
    """Do every shard; this process's largest resident memory, MiB."""
    work = media.prepared()
    for task in media.tasks("alone"):
        run_shard(media.workspace, task, work)
    return peak_memory_mib()


def _utterances(number: int) -> pa.Table:
    rows = [
        {
            "conversation_id": f"{number}{ending}", "turn": turn, "audio": f"speech{ending}",
            "start_s": float(turn * UTTERANCE_S), "end_s": float((turn + 1) * UTTERANCE_S),
        }
        for ending in ENDINGS
        for turn in range(RECORDING_S // UTTERANCE_S)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=UTTERANCES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scaling", type=float, default=0.5, metavar="HOURS", help="of sound a measurement of workers")
    parser.add_argument("--rounds", type=int, default=2, help="of one and two workers in turn")
    parser.add_argument("--hours", type=float, nargs=2, default=(1.0, 10.0), help="of sound whose memory is compared")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    options = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as scratch:
        media = Media.make(Path(scratch), options.scaling)
        with embedded_ray(RayConfig(cpus=2)):
            for number in range(options.rounds):
                for workers, values in rates.items():
                    values.append(rate(media, f"run-{number}-{workers}", workers))
    memory: dict[float, int] = {}
    for hours in options.hours:
        with tempfile.TemporaryDirectory() as scratch:
            memory[hours] = peak_mib(Media.make(Path(scratch), hours))
    one, two = (statistics.median(values) for values in rates.values())
    ratio = two / one
    short, long = memory.values()
    table = Table("", "", caption=EXTRACTOR)
    table.add_row("one worker", f"{one:.0f} s of sound a second")
    table.add_row("two workers", f"{two:.0f} s of sound a second, {ratio:.2f} times one")
    for hours, mib in memory.items():
        table.add_row(f"peak memory, {hours:g} h", f"{mib} MiB")
    table.add_row("growth", f"{long / short - 1:+.1%}")
    Console().print(table)
    facts = {"rates": rates, "ratio": ratio, "peak_mib": memory, "growth": long / short - 1}
    options.out.write_text(json.dumps(facts, indent=1) + "\n")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
