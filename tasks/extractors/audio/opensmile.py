"""Acoustic functionals of an utterance's sound, computed by openSMILE."""

import numpy as np
import pyarrow as pa

from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.loop import SOUND, describe_each
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.mixing import Samples
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.sound import read_sound, too_short
from tasks.extractors.media.span import Span
from tasks.extractors.registry import OPENSMILE_DIMS

_LOUDEST = np.float32(32767 / 32768)


def load(feature_set: str) -> Extractor:
    """Load the engine with one of its feature sets."""
    return OpenSmile(feature_set)


class OpenSmile:
    """One vector of functionals over the whole utterance, from its mono mix at the file's own rate."""

    def __init__(self, feature_set: str) -> None:
        import opensmile  # the other extractors of sound work where it is not wanted

        self._dim = OPENSMILE_DIMS[feature_set]
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet[feature_set],
            feature_level=opensmile.FeatureLevel.Functionals,
            num_workers=1,
        )

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        return describe_each(utterances, SOUND, media, self._describe, self._dim)

    def _describe(self, file: MediaFile, uri: str, stretch: Span) -> Samples:
        samples, rate = read_sound(file, uri, stretch)
        # The engine takes 16-bit samples, and one past full scale would wrap round to the other side.
        samples = np.clip(samples, -1, _LOUDEST)
        vector: Samples = self._smile.process_signal(samples, rate).to_numpy(np.float32)[0]
        if not np.isfinite(vector).all():
            raise too_short(len(samples), rate)
        return vector
