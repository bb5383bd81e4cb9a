"""What the bytes of a media file say of it, whatever its name and its header claim.

A header may tell less than the file holds: recordings that were joined byte by byte, chained Ogg streams, a recorder
that died before it wrote the length. `holds_more` says whether that may be so, and `parts` where joined files begin.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from tasks.extractors.media.opened import MediaFile, View

Kind = Literal[
    "wav", "w64", "aiff", "avi", "flac", "ogg", "mp3", "adts", "mp4", "mkv", "flv", "caf", "tta", "asf", "amr",
    "wavpack", "stream", "other",
]  # fmt: skip

_SIZED = ("wav", "w64", "aiff", "avi", "mp4", "mkv")  # whose headers say where they end
_HEAD = 16  # bytes that tell most kinds
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot")
_FORMS = {b"WAVE": "wav", b"AVI ": "avi", b"AIFF": "aiff", b"AIFC": "aiff"}
_SYNCS = (b"\x0b\x77", b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80")  # of AC-3 and DTS
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_AMR, _AMR_WIDE = (13, 14, 16, 18, 20, 21, 27, 32), (18, 24, 33, 37, 41, 47, 51, 59)  # bytes of frames, by mode
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_INITIAL = b"[" + b"".join(re.escape(bytes([flags])) for flags in range(256) if flags & 8) + b"]"
# How a file of a kind begins whose header does not say where it ends: an MP3 counts its frames in the first one.
_BEGINNINGS: dict[Kind, re.Pattern[bytes]] = {
    "mp3": re.compile(rb"\xff[\xe2-\xff].{2,38}?(?:Xing|Info)\x00\x00\x00[\x00-\x0f]", re.DOTALL),
    "flv": re.compile(rb"FLV\x01[\x00-\x07]\x00\x00\x00\x09"),
    "caf": re.compile(rb"caff\x00\x01..desc", re.DOTALL),
    "tta": re.compile(rb"TTA1\x01\x00"),
    "asf": re.compile(re.escape(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"))),
    "amr": re.compile(rb"#!AMR(?:-WB)?\n"),
    "wavpack": re.compile(rb"wvpk.{12}\x00{4}." + _INITIAL, re.DOTALL),
}
_STREAMINFO = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_PAGE = re.compile(rb"OggS\x00(.)", re.DOTALL)
_TAGS = 2048  # bytes behind the sound of an MP3 file that are no sound
_CHUNK, _LONGEST_MATCH = 2**20, 64


class Match(NamedTuple):
    """Bytes in a file, and where."""

    at: int
    content: bytes


def kind_of(file: MediaFile, at: int = 0) -> Kind:
    """Name the kind of the file, or of the one that begins within it ``at`` some byte."""
    return file.known(f"kind at {at}", lambda: _kind(file.view(), at))


def _kind(view: View, at: int) -> Kind:
    head = _bytes(view, _behind_id3(view, at), _HEAD)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
        return _FORMS.get(head[8:12], "other")  # type: ignore[return-value]
    if head[4:8] in _BOXES:
        return "mp4"
    for magic, kind in ((_W64, "w64"), (b"fLaC", "flac"), (b"OggS", "ogg"), (_EBML, "mkv")):
        if head.startswith(magic):
            return kind  # type: ignore[return-value]
    beginning = _bytes(view, 0, _LONGEST_MATCH)
    for kind, pattern in _BEGINNINGS.items():
        if kind != "mp3" and pattern.match(beginning):
            return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0:  # a frame of MPEG sound; layer 0 is that of raw AAC
        return "adts" if head[1] & 0xF6 == 0xF0 else "mp3"
    return "stream" if head.startswith(_SYNCS) or (head[:1] == b"\x56" and head[1:2] >= b"\xe0") else "other"


def holds_more(file: MediaFile, kind: Kind) -> bool:
    """Whether the file may hold more sound than a decoder finds that believes its header."""
    return file.known("holds more", lambda: _holds_more(file, kind))


def _holds_more(file: MediaFile, kind: Kind) -> bool:
    if kind == "wav" and (_end(file, kind, 0) is None or outlasts_header(file)):
        return True
    if kind in _SIZED:
        return len(parts(file, kind)) > 1
    if kind == "flac":
        return _unknown_length(file) or len(list(_matches(file, _STREAMINFO))) > 1
    if kind == "ogg":
        return len(parts(file, kind)) > 1
    return kind != "mp3" or not _fits_its_header(file)


def parts(file: MediaFile, kind: Kind) -> list[int]:
    """Where files of the same kind begin that were joined into this one; 0 is the first."""
    return file.known("parts", lambda: list(_parts(file, kind)))


def _parts(file: MediaFile, kind: Kind) -> Iterator[int]:
    yield 0
    if kind in _BEGINNINGS:
        yield from [match.at for match in _matches(file, _BEGINNINGS[kind])][1:]
    if kind == "ogg":
        yield from _chained(file)
    at = 0
    while (end := _end(file, kind, at)) is not None and at < end < file.size and kind_of(file, end) == kind:
        yield end
        at = end


def lost_bytes(file: MediaFile, kind: Kind) -> int:
    """How many bytes the last part's header counts that are not there: the file was cut short."""
    end = _end(file, kind, parts(file, kind)[-1]) if kind in _SIZED else None
    return 0 if end is None else max(0, end - file.size)


def outlasts_header(file: MediaFile) -> bool:
    """Whether sound seems to go on behind that of a WAV file, whose recorder died before it wrote the length."""
    return file.known("outlasts header", lambda: _outlasts_header(file))


def _outlasts_header(file: MediaFile) -> bool:
    view, at, seen = file.view(), 12, False
    while at + _TAGS < file.size:
        head = _bytes(view, at, 8)
        if not all(32 <= byte < 127 for byte in head[:4]):  # no chunk
            return seen and not head.startswith((b"ID3", b"TAG"))
        if head[:4] in (b"RIFF", b"RF64"):  # another file
            return False
        seen = seen or head[:4] == b"data"
        size = int.from_bytes(head[4:], "little")
        at += 8 + size + size % 2
    return False


def has_equal_frames(file: MediaFile) -> bool:
    """Whether all frames of an AMR file are as long as the first, which those of pauses are not."""
    return file.known("equal frames", lambda: _has_equal_frames(file.view()))


def _has_equal_frames(view: View) -> bool:
    heading, *frames = view.read().split(b"\n", 1)
    sizes = _AMR_WIDE if heading.endswith(b"WB") else _AMR
    content = frames[0] if frames else b""
    size = sizes[content[0] >> 3 & 7] if content else 0
    return bool(size) and set(content[::size]) == {content[0]}


def _end(file: MediaFile, kind: Kind, at: int) -> int | None:
    """Where the part that begins at a byte ends, as its header says; None where it does not say."""
    view = file.view()
    if kind in ("wav", "aiff", "avi"):
        head = _bytes(view, at, 8)
        size = int.from_bytes(head[4:], "big" if head[:4] in (b"FORM", b"RIFX") else "little")
        if head[:4] == b"RF64":  # the length stands in the chunk after the heading
            size = int.from_bytes(_bytes(view, at + 20, 8), "little")
            return at + 8 + size if size else None
        return at + 8 + size + size % 2 if 0 < size < 0xFFFFFF00 else None
    if kind == "w64":
        return at + int.from_bytes(_bytes(view, at + 16, 8), "little") or None
    if kind == "mp4":
        return _end_of_boxes(view, at)
    if kind == "mkv":
        header = _end_of_element(view, at, _EBML)
        return None if header is None else _end_of_element(view, header, _SEGMENT)
    return None


def _end_of_boxes(view: View, at: int) -> int | None:
    """Where an MP4's last box ends, or the first box of another one begins."""
    seen = set()
    while len(head := _bytes(view, at, 16)) >= 8:
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if name == b"ftyp" and b"moov" in seen:
            return at
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8 or not name.isalnum():
            return None
        seen.add(name)
        at += size
    return at


def _end_of_element(view: View, at: int, name: bytes) -> int | None:
    """Where a Matroska element of this name ends; None where it is another one, or its length is unknown."""
    head = _bytes(view, at, 12)
    if not head.startswith(name) or len(head) < 5 or not head[4]:
        return None
    width = 9 - head[4].bit_length()
    size = int.from_bytes(head[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
    return None if size == (1 << 7 * width) - 1 else at + 4 + width + size


def _behind_id3(view: View, at: int) -> int:
    while (head := _bytes(view, at, 10)).startswith(b"ID3") and len(head) == 10:
        at += 10 + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:10])))
    return at


def _fits_its_header(file: MediaFile) -> bool:
    """Whether an MP3's first frame counts the bytes that are there; where it counts none the decoder counts frames."""
    begin = _behind_id3(file.view(), 0)
    frame = _bytes(file.view(), begin, 256)
    place = max(frame.find(b"Xing"), frame.find(b"Info"))
    flags = frame[place + 7] if place > 0 else 0
    if not flags & 2:
        return False
    at = place + 8 + 4 * (flags & 1)
    return file.size - begin <= int.from_bytes(frame[at : at + 4], "big") + _TAGS


def _unknown_length(file: MediaFile) -> bool:
    """Whether a FLAC file counts no samples, as one that was written to a pipe."""
    head = _bytes(file.view(), _behind_id3(file.view(), 0), 26)
    return not int.from_bytes(head[21:26], "big") & (1 << 36) - 1


def _chained(file: MediaFile) -> Iterator[int]:
    """Where Ogg streams begin after the pages of another one."""
    within = False
    for page in _matches(file, _PAGE):
        first = bool(page.content[-1] & 2)
        if first and within:
            yield page.at
        within = not first


def last_granule(file: MediaFile) -> int:
    """The place in samples at which an Ogg file's last page ends; 0 where none is found near the file's end."""
    tail = _bytes(file.view(), max(0, file.size - 2 * 65_307), 2 * 65_307)  # the longest pages
    at = tail.rfind(b"OggS\x00")
    while at >= 0 and (granule := int.from_bytes(tail[at + 6 : at + 14], "little", signed=True)) < 0:
        at = tail.rfind(b"OggS\x00", 0, at)
    return granule if at >= 0 else 0


def _matches(file: MediaFile, pattern: re.Pattern[bytes]) -> Iterator[Match]:
    """Find a short pattern anywhere in the file."""
    view, before, at = file.view(), b"", 0
    while block := view.read(_CHUNK):
        content, searched = before + block, 0
        for match in pattern.finditer(content):
            searched = match.end()
            yield Match(at + match.start(), match[0])
        kept = max(searched, len(content) - _LONGEST_MATCH)
        before, at = content[kept:], at + kept


def _bytes(view: View, at: int, size: int) -> bytes:
    view.seek(at)
    return view.read(size)
