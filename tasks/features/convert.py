"""Feature shards of earlier versions, written anew as vectors are stored now; vectors, names and fingerprints stay.

A file is replaced in one step, and the manifest last. Between the two the files are read as ever, and what compares
them with their manifest calls them damaged; converting again goes on from there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.archive.layout import FeaturesPlace, manifest_path
from tasks.archive.leases import features_of
from tasks.archive.manifests import read_archive
from tasks.archive.repair import finished_manifest, reading
from tasks.errors import DamagedFile
from tasks.executor.shard import Shard, describe_shard, existing_shard
from tasks.features.catalog import feature_sets
from tasks.features.table import ROWS_A_GROUP
from tasks.features.vectors import stored_vectors, vector_array
from tasks.storage.lease import lease
from tasks.storage.manifest import ShardRecord, file_digest
from tasks.storage.vector_field import vector_field, vector_type
from tasks.storage.workspace import Workspace

_LEASE_S = 120.0


@dataclass(frozen=True)
class Conversion:
    """How many files of one extractor's features were written anew, and the bytes of all before and now."""

    place: FeaturesPlace
    files: int
    before: int
    now: int


def convert_features(workspace: Workspace, archive: str) -> list[Conversion]:
    """Write those features of an archive anew that are stored as earlier versions did; the others are left out.

    Raises:
        WorkflowError: no such archive, a run is making the features, or a file is damaged; what is done stays done.
    """
    read_archive(workspace, archive)
    conversions = [
        _convert(workspace, features.folder, features.place) for features in feature_sets(workspace, archive)
    ]
    return [conversion for conversion in conversions if conversion is not None]


def _convert(workspace: Workspace, folder: str, place: FeaturesPlace) -> Conversion | None:
    with lease(workspace, features_of(*place), _LEASE_S) as claim:
        manifest = finished_manifest(workspace, manifest_path(folder))
        if manifest is None:
            return None
        shards = []
        for shard in manifest.shards:
            claim.check()
            with reading(workspace, shard.path):
                shards.append(_converted(workspace, shard))
        claim.check()
        files = sum(one != other for one, other in zip(shards, manifest.shards, strict=True))
        if files:
            manifest.model_copy(update={"shards": tuple(shards)}).write(workspace, manifest_path(folder))
    before, now = (sum(shard.bytes for shard in each) for each in (manifest.shards, shards))
    return Conversion(place, files, before, now) if files else None


def _converted(workspace: Workspace, record: ShardRecord) -> ShardRecord:
    """The record of a shard once its vectors are as they are stored now."""
    shard: Shard[None] = Shard(record.index, record.path)
    with workspace.parquet(record.path) as file:
        schema = file.schema_arrow
        place = schema.get_field_index("vector")
        if pa.types.is_fixed_size_list(schema.field(place).type):
            if file_digest(workspace, record.path) != (record.sha256, record.bytes):
                raise DamagedFile(workspace.uri(record.path), record.path, "its sha256 is not that of its manifest")
            kind = vector_type(schema.field(place))
            assert kind is not None
            schema = schema.set(place, vector_field("vector", kind[1], kind[0]))
            workspace.write_tables(record.path, schema, _groups(file, schema), ROWS_A_GROUP)
            after = describe_shard(workspace, shard)
        elif workspace.size(record.path) == record.bytes:
            return record
        else:
            after = existing_shard(workspace, shard)  # converted by a run that was killed before it wrote the manifest
    if after.model_copy(update={"sha256": record.sha256, "bytes": record.bytes}) != record:
        raise DamagedFile(workspace.uri(record.path), record.path, "it does not hold what its manifest says")
    return after


def _groups(file: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.Table]:
    place = schema.get_field_index("vector")
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        values, valid = stored_vectors(table)
        if not valid.all():
            values = values.copy()
            values[~valid] = 0
        yield table.set_column(place, schema.field(place), vector_array(values, valid))
