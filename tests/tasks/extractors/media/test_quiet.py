"""What decoders print is not shown, and what others write to standard error meanwhile is."""

import os
from pathlib import Path
from threading import Thread

import fsspec
import pytest

from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.quiet import without_messages
from tasks.extractors.media.sound import read_sound
from tasks.extractors.media.span import MediaFault, Span
from tests.fixtures import media as made
from tests.fixtures.media.recordings import write_recording


@pytest.mark.parametrize("name", ["vbr.mp3", "cbr.mp3", "x.aac", "x.ogg", "x.flac", "x.wav", "x.mkv", "x.mp2"])
def test_joined_cut_and_damaged_files_print_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    whole = write_recording(tmp_path / name).read_bytes()
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(range(256)) * 4 + whole[middle + 1024 :]
    capfd.readouterr()
    for content in (whole * 3, whole[:middle], damaged, whole[middle:] + whole):
        (tmp_path / name).write_bytes(content)
        for stretch in (Span(0.0, None), Span(1.0, 2.5), Span(3.5, 9.0)):
            try:
                with MediaRoot(str(tmp_path)).open(name) as file:
                    read_sound(file, name, stretch)
            except MediaFault:
                continue
    assert capfd.readouterr() == ("", "")


def test_others_lines_are_passed_on_and_an_error_goes_up(capfd: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        os.write(2, b"Note: of the decoder\n")
        os.write(2, b"ours\n[src/libmpg123/x.c:f():1] warning: theirs\nours too\n")

    with pytest.raises(MediaFault), without_messages():
        thread = Thread(target=write)
        thread.start()
        thread.join()
        raise MediaFault("x")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "ours\nours too\nafter\n"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_store_that_fails_while_the_decoder_reads_is_raised_and_not_printed(tmp_path: Path) -> None:
    fsspec.register_implementation("broken", made.BrokenStore, clobber=True)
    made.BrokenStore().pipe("/quiet-test/x.wav", made.write_sound(tmp_path / "x.wav", made.sound()).read_bytes())
    with pytest.raises(OSError, match="the store is gone"), MediaRoot("broken://quiet-test").open("x.wav") as file:
        read_sound(file, "x.wav", Span(0.0, None))


def test_a_process_without_standard_error_decodes_as_well(tmp_path: Path) -> None:
    write_recording(tmp_path / "vbr.mp3")
    stderr = os.dup(2)
    try:
        os.close(2)
        with MediaRoot(str(tmp_path)).open("vbr.mp3") as file:
            assert len(read_sound(file, "vbr.mp3", Span(0.0, 1.0))[0])
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
