"""What a Parquet file's pages unpack to, read from their headers before any of them is decoded.

A page is decoded at once, and its header alone says how large it becomes: the sums in the file's footer may say
anything. Headers are structs in Thrift's compact protocol.
"""

from collections.abc import Collection, Iterator
from typing import IO, NamedTuple

import pyarrow.parquet as pq

_HEADER, _LONGEST_HEADER = 2**10, 2**24  # bytes that are read of a header at first, and at most
_STOP, _INTEGERS, _STRUCT = 0, (4, 5, 6), 12  # kinds of values
_DELTA = 7  # the encoding of texts that share their beginnings
_DEEPEST = 16  # structs within each other


Fields = dict[tuple[int, ...], int]
"""Integers by the numbers of the fields that lead to them."""


class Page(NamedTuple):
    """One page of a column.

    Attributes:
        packed, unpacked: its bytes in the file, and those that they unpack to.
        shared: whether its texts begin as others do and are stored without that: each may be as long as the page.
    """

    group: int
    column: str
    packed: int
    unpacked: int
    shared: bool


def pages(file: IO[bytes], footer: pq.FileMetaData, columns: Collection[str]) -> Iterator[Page]:
    """Yield the pages of some columns; of a header that cannot be read, what the footer says of its column's rest."""
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            chunk = footer.row_group(group).column(index)
            name = chunk.path_in_schema
            if not any(name == column or name.startswith(f"{column}.") for column in columns):
                continue
            at = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)), default=0)
            end, unpacked = at + chunk.total_compressed_size, 0
            while at < end:
                header = _header(file, at)
                if header is None:
                    yield Page(group, name, end - at, max(0, chunk.total_uncompressed_size - unpacked), True)
                    break
                length, fields = header
                page = Page(group, name, fields[(3,)], fields[(2,)], _DELTA in (fields.get((5, 2)), fields.get((8, 4))))
                yield page
                at, unpacked = at + length + page.packed, unpacked + page.unpacked


def _header(file: IO[bytes], at: int) -> tuple[int, Fields] | None:
    """Read a page's header, and how long it is; None where there is none, or it does not say the page's sizes."""
    size = _HEADER
    while size <= _LONGEST_HEADER:
        file.seek(at)
        content = file.read(size)
        try:
            fields: Fields = {}
            length = _struct(content, 0, fields, ())
        except IndexError:
            if len(content) < size:
                return None
            size *= 16
            continue
        except ValueError:
            return None
        return (length, fields) if min(fields.get((2,), -1), fields.get((3,), -1)) >= 0 else None
    return None


def _struct(content: bytes, at: int, fields: Fields, within: tuple[int, ...]) -> int:
    """Pass over a struct, whose integers go to ``fields``. Raises: IndexError, ValueError: it is longer, or is none."""
    number = 0
    if len(within) > _DEEPEST:
        raise ValueError("nested too deeply")
    while (head := content[at]) != _STOP:
        at += 1
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(content, at)
        if kind in _INTEGERS:
            fields[*within, number], at = _integer(content, at)
        elif kind == _STRUCT:
            at = _struct(content, at, fields, (*within, number))
        else:
            at = _passed(content, at, kind)
    return at + 1


def _passed(content: bytes, at: int, kind: int) -> int:
    """Where a value of a kind ends that begins at a place. Raises: ValueError: there is no such kind."""
    match kind:
        case 1 | 2:  # a truth, which the kind says
            return at
        case 3:
            return at + 1
        case 7:
            return at + 8
        case 8:
            size, at = _varint(content, at)
            return at + size
    raise ValueError(f"no page header has a value of kind {kind}")


def _integer(content: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(content, at)
    return value >> 1 ^ -(value & 1), at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number without end")
