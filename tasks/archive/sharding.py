"""The assignment of conversations to shards."""

import zlib


def shard_of(conversation_id: str, shards: int) -> int:
    """Number a conversation's shard, by a hash that is the same on every machine and in every version."""
    return zlib.crc32(conversation_id.encode()) % shards
