"""Recordings of every kind, as they are and as the world spoils them, against FFmpeg's own decoding of the same span.

Seconds within 50 ms and level within 1%, or a reason: never less without a word, never more, never another place.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.sound import read_sound
from tasks.extractors.media.span import MediaFault, PastTheEnd, span
from tests.fixtures.media.recordings import (
    ENCODED,
    SECONDS,
    WRITTEN,
    decoded,
    encode,
    speech,
    write_film,
    write_recording,
)

Floats = NDArray[np.float64]
SPANS = [(None, None), (0.0, 2.0), (1.7, 3.05), (4.1, 5.6)]
ALL = [*ENCODED, *WRITTEN]
RENAMED = {"x.m4a": "x.wav", "x.aac": "x.mp3", "x.mkv": "x.ogg", "x.wav": "x.mp4", "x.ogg": "x.m4a",
           "cbr.mp3": "x.flac", "x.ac3": "x.wav", "x.flac": "x.bin", "x.amr": "x.ogg", "gsm.wav": "x.mp3"}  # fmt: skip


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("recordings")

    def written(name: str) -> Path:
        return folder / name if (folder / name).exists() else write_recording(folder / name)

    return written


def read(
    path: Path, start: float | None = None, end: float | None = None
) -> tuple[NDArray[np.float32], int, list[str]]:
    with MediaRoot(str(path.parent)).open(path.name) as file:
        samples, rate = read_sound(file, path.name, span(start, end))
        return samples, rate, file.notes


def check(path: Path, expected: Floats, rate: int, start: float | None = None, end: float | None = None) -> None:
    """The span has the seconds, the level and the sound of the same span of what is expected, or a reason."""
    samples, at, notes = read(path, start, end)
    wanted = expected[round((start or 0.0) * rate) : None if end is None else round(end * rate)]
    if notes:
        assert len(samples) / at < len(wanted) / rate - 0.05 or end is None or end * rate > len(expected), notes
        return
    assert len(samples) / at == pytest.approx(len(wanted) / rate, abs=0.05)
    assert float(np.std(samples)) == pytest.approx(float(np.std(wanted)), rel=0.01)
    if at == rate and end is not None:  # two of a kind, one after the other, are alike in two places
        assert abs(late_by(samples, wanted)) <= (0.2 if path.suffix == ".wma" else 0.1) * rate  # its codec fills up


def late_by(samples: NDArray[np.float32], wanted: Floats) -> int:
    size = min(len(samples), len(wanted))
    spectra = [np.fft.rfft(x[:size] - x[:size].mean(), 2 * size) for x in (samples, wanted)]
    best = int(np.argmax(np.fft.irfft(spectra[0] * spectra[1].conj())))
    return best if best < size else best - 2 * size


@pytest.mark.long
@pytest.mark.parametrize("name", ALL)
def test_every_container_and_codec_as_ffmpeg_decodes_it(recordings: Callable[[str], Path], name: str) -> None:
    expected, rate = decoded(recordings(name))
    assert len(expected) / rate == pytest.approx(SECONDS, abs=0.2)
    for start, end in SPANS:
        check(recordings(name), expected, rate, start, end)


@pytest.mark.long
@pytest.mark.parametrize("name", ALL)
def test_two_joined_byte_by_byte_are_both_read(recordings: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    one = recordings(name)
    path = tmp_path / name
    path.write_bytes(one.read_bytes() * 2)
    first, rate = decoded(one)
    both = np.concatenate([first, first])
    middle = len(first) / rate
    for start, end in [*SPANS, (middle + 1, middle + 2.5)]:
        check(path, both, rate, start, end)
    assert len(read(path)[0]) / read(path)[1] == pytest.approx(2 * middle, abs=0.15)
    with pytest.raises(PastTheEnd):
        read(path, 2 * middle + 1, 2 * middle + 2)


@pytest.mark.parametrize(("name", "called"), RENAMED.items())
def test_the_name_does_not_matter(recordings: Callable[[str], Path], tmp_path: Path, name: str, called: str) -> None:
    path = shutil.copy(recordings(name), tmp_path / called)
    expected, rate = decoded(recordings(name))
    for start, end in SPANS:
        check(path, expected, rate, start, end)


@pytest.mark.long
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".ts", ".mov"])
@pytest.mark.parametrize(("sound_from", "picture_from"), [(0.0, 3.5), (2.5, 0.0)])
def test_sound_is_found_wherever_it_or_the_picture_begins(
    tmp_path: Path, ending: str, sound_from: float, picture_from: float
) -> None:
    path = write_film(tmp_path / f"x{ending}", sound_from, picture_from)
    whole = speech().astype(np.float64)
    for start, end in [(0.5, 2.0), (2.0, 4.0), (4.0, 5.5)]:
        heard = max(0.0, end - max(start, sound_from))
        if not heard:
            with pytest.raises(MediaFault):
                read(path, start, end)
            continue
        samples, rate, notes = read(path, start, end)
        assert len(samples) / rate == pytest.approx(heard, abs=0.1)  # what a codec puts before the sound
        assert bool(notes) == (heard < end - start), notes
        if rate == 16_000:
            wanted = whole[round(max(start, sound_from) * rate) : round(end * rate)]
            assert abs(late_by(samples, wanted)) <= 0.1 * rate


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_recorder_that_died_before_it_wrote_the_length(tmp_path: Path, size: int) -> None:
    content = bytearray(write_recording(tmp_path / "x.wav").read_bytes())
    place = content.index(b"data")
    content[place + 4 : place + 8] = size.to_bytes(4, "little")
    content[4:8] = (size and size).to_bytes(4, "little")
    (tmp_path / "x.wav").write_bytes(content)
    for start, end in SPANS:
        check(tmp_path / "x.wav", speech().astype(np.float64), 16_000, start, end)


def test_flac_from_a_pipe_counts_no_samples(tmp_path: Path) -> None:
    content = bytearray(write_recording(tmp_path / "x.flac").read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "x.flac").write_bytes(content)
    for start, end in SPANS:
        check(tmp_path / "x.flac", speech().astype(np.float64), 16_000, start, end)
    with pytest.raises(PastTheEnd):
        read(tmp_path / "x.flac", 7.0, 8.0)


@pytest.mark.parametrize("name", ["x.wav", "x.mkv", "x.ogg", "cbr.mp3", "x.aac", "x.ts", "x.flac"])
def test_a_span_that_ends_past_the_recording_says_how_much_it_got(recordings: Callable[[str], Path], name: str) -> None:
    samples, rate, notes = read(recordings(name), 5.0, 8.0)
    assert notes == [f"{len(samples) / rate:.2f} s of sound, and not the 3.00 s asked for"]
    assert len(samples) / rate == pytest.approx(1.0, abs=0.2)


def test_a_file_cut_short_says_so_where_all_of_it_was_asked_for(
    recordings: Callable[[str], Path], tmp_path: Path
) -> None:
    content = recordings("x.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(content[: len(content) // 2])
    samples, rate, notes = read(tmp_path / "x.wav")
    assert len(samples) / rate == pytest.approx(3.0, abs=0.01)
    assert notes == [f"3.00 s of sound are left of a file that lacks its last {len(content) - len(content) // 2} bytes"]
    assert not read(tmp_path / "x.wav", 0.0, 2.0)[2]


def test_pauses_of_a_phone_recording_do_not_move_what_follows(tmp_path: Path) -> None:
    """Frames of a pause are small, and FFmpeg counts places by the mean size."""
    samples = speech(12.0, 8000)
    samples[8000 : 8 * 8000] = 0
    with av.open(str(tmp_path / "x.amr"), "w", format="amr") as container:
        stream = container.add_stream("libopencore_amrnb", rate=8000, options={"dtx": "1"})
        stream.layout, stream.bit_rate = "mono", 12_200
        encode(container, stream, samples, 8000)
    for start, end in [(0.2, 0.9), (8.5, 9.7), (10.0, 11.5)]:
        heard, rate, notes = read(tmp_path / "x.amr", start, end)
        wanted = samples[round(start * rate) : round(end * rate)].astype(np.float64)
        assert (len(heard), rate, notes) == (len(wanted), 8000, [])
        assert abs(late_by(heard, wanted)) <= 0.02 * rate


@pytest.mark.parametrize("whole", [True, False])
def test_a_recorder_that_died_after_it_wrote_a_length(tmp_path: Path, whole: bool) -> None:
    """The length of the first two seconds, in both headings or in that of the sound alone."""
    content = bytearray(write_recording(tmp_path / "x.wav").read_bytes())
    place = content.index(b"data")
    content[place + 4 : place + 8] = (64_000).to_bytes(4, "little")
    if whole:
        content[4:8] = (64_036).to_bytes(4, "little")
    (tmp_path / "x.wav").write_bytes(content)
    for start, end in SPANS:
        check(tmp_path / "x.wav", speech().astype(np.float64), 16_000, start, end)


@pytest.mark.parametrize("name", ["cbr.mp3", "x.ogg", "x.flac"])
def test_noise_within_a_file_and_an_end_that_is_lost_are_named(
    recordings: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    content = recordings(name).read_bytes()
    middle = len(content) // 2
    noise = np.random.default_rng(0).bytes(2000)
    (tmp_path / f"noise-{name}").write_bytes(content[:middle] + noise + content[middle + 2000 :])
    (tmp_path / f"half-{name}").write_bytes(content[:middle])
    for path in (tmp_path / f"noise-{name}", tmp_path / f"half-{name}"):
        try:
            samples, rate, notes = read(path)
            assert notes and 0 < len(samples) / rate < SECONDS
        except MediaFault as fault:
            assert "no sound in the span" in str(fault)


def test_what_is_joined_with_another_rate_is_named(recordings: Callable[[str], Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "other.ogg", speech(3.0, 44_100), 44_100)
    (tmp_path / "x.ogg").write_bytes(recordings("x.ogg").read_bytes() + (tmp_path / "other.ogg").read_bytes())
    assert read(tmp_path / "x.ogg", 7.0, 8.0)[1] == 44_100
    assert read(tmp_path / "x.ogg")[2][0] == "what may follow: sound changes its rate: 16000, 44100 Hz"
