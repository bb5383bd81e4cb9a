"""The loop of every extractor that reads media: each row's stretch of a file is read, what is wrong noted."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.executor.watchdog import in_hand
from tasks.extractors.base import Extracted
from tasks.extractors.media.files import MediaFault, MediaFile, MediaRoot, Span, span

Read = TypeVar("Read")

SOUND = ("audio", "video")  # the columns that may name a file with sound, the first that does counts
PICTURES = ("video",)


def read_each(
    utterances: pa.Table,
    columns: tuple[str, ...],
    media: MediaRoot,
    read: Callable[[MediaFile, str, Span], Read],
    found: Extracted,
) -> Iterator[tuple[int, Read]]:
    """Row and reading of every utterance that has a file; one whose file is at fault gets its reason in ``found``.

    ``read`` is given the open file, its URI and the utterance's stretch. Utterances of one file that follow one
    another share its opening.
    """
    for uri, rows in groupby(_stretches(utterances, columns, found), key=itemgetter(1)):
        with ExitStack() as opened:
            file: MediaFile | None = None
            for row, _, stretch in rows:
                if not stretch.start:  # as if nothing had been read before, whatever state a file is in
                    opened.close()
                    file = None
                try:
                    with in_hand(uri):
                        file = file or opened.enter_context(media.open(uri))
                        reading = _checked(read, file, uri, stretch)
                except MediaFault as fault:
                    found.reasons[row] = str(fault)
                    opened.close()  # a fault may leave a decoder anywhere
                    file = None
                    continue
                if found.seconds is not None:
                    found.seconds[row] = _length(file, stretch)
                yield row, reading


def describe_each(
    utterances: pa.Table,
    columns: tuple[str, ...],
    media: MediaRoot,
    describe: Callable[[MediaFile, str, Span], npt.NDArray[np.float32]],
    dim: int,
) -> Extracted:
    """Vectors (N, ``dim``) of an extractor that makes one of each stretch by itself."""
    found = Extracted.none(utterances.num_rows, dim)
    for row, vector in read_each(utterances, columns, media, describe, found):
        found.put(row, vector)
    return found


def _stretches(utterances: pa.Table, columns: tuple[str, ...], found: Extracted) -> Iterator[tuple[int, str, Span]]:
    """Row, URI and stretch of every utterance that has a file and a stretch of it."""
    for row, values in enumerate(utterances.select([*columns, "start_s", "end_s"]).to_pylist()):
        uri = next((values[name] for name in columns if values[name]), None)
        if uri is None:
            continue
        try:
            stretch = span(values["start_s"], values["end_s"])
        except MediaFault as fault:
            found.reasons[row] = str(fault)
            continue
        yield row, uri, stretch


def _length(file: MediaFile, stretch: Span) -> float:
    """Seconds of a stretch, as far as the recording goes; 0 where no one has said how far that is."""
    ends = [end for end in (stretch.end, file.seconds) if end is not None]
    return max(0.0, min(*ends, stretch.limit) - stretch.start) if ends else 0.0  # a damaged header may say anything


def _checked(read: Callable[[MediaFile, str, Span], Read], file: MediaFile, uri: str, stretch: Span) -> Read:
    """The reading, unless something failed below the decoder, whatever it made of that."""
    try:
        return read(file, uri, stretch)
    finally:
        file.check()


def gathered(
    readings: Iterable[tuple[int, Read]], size: Callable[[Read], int], enough: int
) -> Iterator[list[tuple[int, Read]]]:
    """Readings that follow one another together, until their sizes reach ``enough``."""
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
