"""The field of a Parquet file that holds vectors: the bytes of each, so that reading them is a copy.

They are little-endian, neither compressed nor encoded, and without statistics; the field's metadata says of what kind
the numbers are and how many. Files of earlier versions have lists of numbers.
"""

import pyarrow as pa

from tasks.config.stages import Storage

_BYTES: dict[Storage, int] = {"float32": 4, "float16": 2, "bfloat16": 2}
_LISTS: dict[str, Storage] = {"float": "float32", "halffloat": "float16"}  # as Arrow calls their numbers


def vector_field(name: str, dim: int, storage: Storage) -> pa.Field:
    """A field of vectors (C,), or null."""
    return pa.field(name, pa.binary(dim * _BYTES[storage]), metadata={"dtype": storage, "dim": str(dim)})


def vector_type(field: pa.Field) -> tuple[Storage, int] | None:
    """What the vectors of a field are stored as, and how many numbers C each has; None: it has no vectors."""
    if pa.types.is_fixed_size_list(field.type):
        return _LISTS[str(field.type.value_type)], field.type.list_size
    metadata = field.metadata or {}
    return (metadata[b"dtype"].decode(), int(metadata[b"dim"])) if metadata.keys() >= {b"dtype", b"dim"} else None


def column_type(field: pa.Field) -> str:
    """The field's type in words; of vectors, however they are stored, that of the lists that they stand for."""
    if (vectors := vector_type(field)) is None:
        return str(field.type)
    storage, dim = vectors
    number = next((name for name, listed in _LISTS.items() if listed == storage), storage)
    return f"fixed_size_list<element: {number}>[{dim}]"
