"""The loop of every extractor that reads media: it reads each row's stretch of a file and notes what is wrong."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.executor.watchdog import watched
from tasks.extractors.base import Extracted
from tasks.extractors.media.channels import channel_of
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.span import Absent, MediaFault, PastTheEnd, Span, span

Read = TypeVar("Read")

SOUND = ("audio", "video")  # columns that may name a file with sound; the first that is filled counts
PICTURES = ("video",)


def read_each(
    utterances: pa.Table,
    columns: tuple[str, ...],
    media: MediaRoot,
    read: Callable[[MediaFile, str, Span], Read],
    extracted: Extracted,
) -> Iterator[tuple[int, Read]]:
    """Yield row and reading of every utterance that has a file; neighbours with the same file share its opening.

    Args:
        utterances: rows of `tasks.archive.schema.UTTERANCES`.
        columns: those that may name the file, `SOUND` or `PICTURES`.
        media: the folder that URIs are relative to.
        read: called with the open file, its URI and the utterance's stretch of it.
        extracted: gets the reason of each utterance whose file is at fault or gave less than was asked for, and the
            seconds that were read.
    """
    speakers = utterances["speaker"].to_pylist()
    for uri, rows in groupby(_stretches(utterances, columns, extracted), key=itemgetter(1)):
        with ExitStack() as opened:
            file: MediaFile | None = None
            for row, _, stretch in rows:
                if not stretch.start:  # as if nothing had been read before, whatever state a file is in
                    opened.close()
                    file = None
                try:
                    with watched(uri):
                        file = file or opened.enter_context(media.open(uri))
                        file.channel, file.notes = channel_of(media.channels, speakers[row]), []
                        reading = _checked(read, file, uri, stretch)
                except Absent:
                    continue
                except PastTheEnd as fault:
                    extracted.reasons[row] = str(fault)
                    continue
                except MediaFault as fault:
                    extracted.reasons[row] = str(fault)
                    opened.close()  # a fault may leave a decoder anywhere
                    file = None
                    continue
                extracted.reasons[row] = "; ".join(file.notes) or None
                if extracted.seconds is not None:
                    extracted.seconds[row] = _length(file, stretch)
                yield row, reading


def describe_each(
    utterances: pa.Table,
    columns: tuple[str, ...],
    media: MediaRoot,
    describe: Callable[[MediaFile, str, Span], npt.NDArray[np.float32]],
    dim: int,
) -> Extracted:
    """Compute vectors (N, ``dim``) with a function that describes one stretch; other arguments as of `read_each`."""
    extracted = Extracted.none(utterances.num_rows, dim)
    for row, vector in read_each(utterances, columns, media, describe, extracted):
        extracted.put(row, vector)
    return extracted


def _stretches(utterances: pa.Table, columns: tuple[str, ...], extracted: Extracted) -> Iterator[tuple[int, str, Span]]:
    """Yield row, URI and stretch of every utterance that names a file and a valid span."""
    for row, values in enumerate(utterances.select([*columns, "start_s", "end_s"]).to_pylist()):
        uri = next((values[name] for name in columns if values[name]), None)
        if uri is None:
            continue
        try:
            stretch = span(values["start_s"], values["end_s"])
        except MediaFault as fault:
            extracted.reasons[row] = str(fault)
            continue
        yield row, uri, stretch


def _length(file: MediaFile, stretch: Span) -> float:
    """Seconds of a stretch up to the recording's end; 0 where neither span nor decoder tells one."""
    ends = [end for end in (stretch.end, file.seconds) if end is not None]
    return max(0.0, min(*ends, stretch.limit) - stretch.start) if ends else 0.0  # a damaged header may say anything


def _checked(read: Callable[[MediaFile, str, Span], Read], file: MediaFile, uri: str, stretch: Span) -> Read:
    """Read a stretch; a failure below the decoder is raised even if the decoder took it for the end of the file."""
    try:
        return read(file, uri, stretch)
    finally:
        file.check()


def gathered(
    readings: Iterable[tuple[int, Read]], size: Callable[[Read], int], enough: int
) -> Iterator[list[tuple[int, Read]]]:
    """Group consecutive readings until the sum of their sizes reaches ``enough``."""
    batch: list[tuple[int, Read]] = []
    filled = 0
    for reading in readings:
        batch.append(reading)
        filled += size(reading[1])
        if filled >= enough:
            yield batch
            batch, filled = [], 0
    if batch:
        yield batch
