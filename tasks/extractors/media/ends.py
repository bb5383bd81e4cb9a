"""Whether a file without a length ends where it should: its last frame, page or packet may be there in part only.

What ends between two frames may be cut as well, and nothing in it says so.
"""

from collections.abc import Callable

from tasks.extractors.media.contents import Kind
from tasks.extractors.media.opened import MediaFile

_HEAD, _TAIL = 2**11, 2**18  # bytes at the file's beginning and end that are looked at
_LEAST_FRAMES = 3  # in a row that are no coincidence
_PACKETS, _SYNC = (188, 192, 204), 0x47  # of a transport stream: their sizes, and the first byte
# Bytes of AMR's frames, by mode; others are of one.
_AMR = {0: 13, 1: 14, 2: 16, 3: 18, 4: 20, 5: 21, 6: 27, 7: 32, 8: 6}
_AMR_WIDE = {0: 18, 1: 24, 2: 33, 3: 37, 4: 41, 5: 47, 6: 51, 7: 59, 8: 61, 9: 6}
_RATES_OF_LAYERS = {  # kbit/s, by MPEG's first version or a later one, and layer
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_AC3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)

Header = tuple[int, bytes]
"""Of a frame: its length in bytes, and what all frames of the stream have in common."""
ReadHeader = Callable[[bytes], Header | None]


def ends_within_frame(file: MediaFile, kind: Kind) -> bool:
    """Whether the last frame, page or packet of sound is there in part only, as far as the file's own data shows."""
    return file.known("ends within frame", lambda: _ends_within(file, kind))


def _ends_within(file: MediaFile, kind: Kind) -> bool:
    begin = 0 if kind == "amr" else max(0, file.size - _TAIL)
    tail = file.read_at(begin, file.size - begin)
    if kind == "amr":
        return _ends_within_amr(tail)
    if kind == "ogg":
        return _ends_within_page(tail)
    if kind == "other":
        return _ends_within_packet(file.read_at(0, _HEAD), tail, begin)
    headers: dict[Kind, tuple[ReadHeader, ...]] = {"adts": (_adts,), "mp3": (_mpeg,), "stream": (_ac3, _loas)}
    return any(_ends_within_chain(tail, header) for header in headers.get(kind, ()))


def _ends_within_chain(tail: bytes, header: ReadHeader) -> bool:
    """Whether frames that follow each other reach the end, and the last one of them beyond it."""
    at = 0
    while at < len(tail):
        stop, count, common = at, 0, b""
        while (read := header(tail[stop : stop + 8])) is not None and (not count or read[1] == common):
            length, common = read
            if stop + length > len(tail):
                return count >= _LEAST_FRAMES
            stop, count = stop + length, count + 1
        if count >= _LEAST_FRAMES:
            if stop == len(tail):
                return False
            rest = tail[stop:]
            if len(rest) < 8 and rest[:1] == common[:1]:  # less than a frame's beginning
                return True
            at = stop
        else:
            at += 1
    return False


def _adts(head: bytes) -> Header | None:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return (length, bytes([0xFF, head[1], head[2]])) if length > 7 else None


def _mpeg(head: bytes) -> Header | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate, sampling = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or rate in (0, 15) or sampling == 3:
        return None
    first = version == 3
    hertz = (44_100, 48_000, 32_000)[sampling] >> {3: 0, 2: 1, 0: 2}[version]
    bits, padding = 1000 * _RATES_OF_LAYERS[first, layer][rate - 1], head[2] >> 1 & 1
    length = 4 * (12 * bits // hertz + padding) if layer == 1 else 0
    length = length or (144 if first or layer == 2 else 72) * bits // hertz + padding
    return length, bytes([0xFF, head[1] & 0xFE, head[2] & 0x0C])


def _ac3(head: bytes) -> Header | None:
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return None
    if head[5] >> 3 > 10:  # the later kind counts the words
        return 2 * (((head[2] & 7) << 8 | head[3]) + 1), b"\x0b\x77"
    sampling, code = head[4] >> 6, head[4] & 0x3F
    if sampling == 3 or code >= 2 * len(_AC3_RATES):
        return None
    rate = _AC3_RATES[code >> 1]
    words = (2 * rate, 320 * rate // 147 + (code & 1), 3 * rate)[sampling]
    return 2 * words, b"\x0b\x77" + bytes([sampling])


def _loas(head: bytes) -> Header | None:
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:
        return None
    return 3 + ((head[1] & 0x1F) << 8 | head[2]), b"\x56"


def _ends_within_amr(content: bytes) -> bool:
    heading, _, frames = content.partition(b"\n")
    sizes = _AMR_WIDE if heading.endswith(b"WB") else _AMR
    at = 0
    while at < len(frames):
        at += sizes.get(frames[at] >> 3 & 15, 1)
    return at > len(frames)


def _ends_within_page(tail: bytes) -> bool:
    """Of Ogg: a page's heading counts the segments whose lengths follow it."""
    at = tail.rfind(b"OggS\x00")
    lengths = tail[at + 27 : at + 27 + tail[at + 26]] if 0 <= at < len(tail) - 26 else b""
    return at >= 0 and (not lengths or len(tail) < at + 27 + tail[at + 26] + sum(lengths))


def _ends_within_packet(head: bytes, tail: bytes, at: int) -> bool:
    """Of a transport stream: a packet of the stream, or one of sound that it carries, is not whole.

    Args:
        head: the file's first bytes.
        tail: its last ones.
        at: where in the file these begin.
    """
    grids = (
        (size, first)
        for size in _PACKETS
        for first in range(size)
        if len(head) > first + 4 * size and all(head[first + number * size] == _SYNC for number in range(5))
    )
    size, first = next(grids, (0, 0))
    if not size:
        return False
    begin = (first - at) % size
    packets = [tail[place : place + size] for place in range(begin, len(tail), size)]
    if any(packet[0] != _SYNC for packet in packets):
        return False
    # With a time before each packet the grid's first byte is the sync's: what is after the last one's end is the time.
    left = len(packets[-1])
    if left < 188 and not (size == 192 and left == 188):
        return True
    return any(missing > 0 for missing in _missing_of_sound(packets).values())


def _missing_of_sound(packets: list[bytes]) -> dict[int, int]:
    """For each track of sound, how many bytes of its last packet, which many of the stream's carry, are not there."""
    missing: dict[int, int] = {}
    for packet in packets:
        track = (packet[1] & 0x1F) << 8 | packet[2]
        flags = packet[3] >> 4
        payload = packet[4 + (1 + packet[4] if flags & 2 else 0) : 188] if flags & 1 else b""
        if packet[1] & 0x40:
            missing.pop(track, None)
            sound = payload[:3] == b"\x00\x00\x01" and (0xC0 <= payload[3] < 0xE0 or payload[3] in (0xBD, 0xFD))
            if sound and (length := int.from_bytes(payload[4:6], "big")):
                missing[track] = 6 + length - len(payload)
        elif track in missing:
            missing[track] -= len(payload)
    return missing
