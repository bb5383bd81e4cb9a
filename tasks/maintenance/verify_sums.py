"""Models and encoders of a workspace: whether their files have the hashes that were written beside them."""

from typing import NamedTuple

from tasks.archive.layout import name_of_description
from tasks.errors import DamagedFile
from tasks.registry.sums import described_hashes, read_sums, wrong_files
from tasks.storage.workspace import Workspace


class HashedFiles(NamedTuple):
    """What was compared.

    Attributes:
        files: their number.
        wrong: those that have another hash, or are gone, by path, with what is wrong.
        without: folders that an earlier version wrote without hashes.
    """

    files: int
    wrong: dict[str, str]
    without: list[str]


def compare_sums(workspace: Workspace, below: str, description: str) -> HashedFiles:
    """Compare every complete model or encoder with its hashes.

    Args:
        workspace: where they lie.
        below: the folder of all of them.
        description: name of the file that completes one.
    """
    files, wrong, without = 0, dict[str, str](), []
    for path in workspace.files(below):
        if name_of_description(path, description) is None:
            continue
        folder = path.rpartition("/")[0]
        try:
            sums = read_sums(workspace, folder, described_hashes(workspace.read_bytes(path)))
        except DamagedFile as error:
            wrong[error.path] = error.reason
            continue
        files += len(sums)
        wrong |= wrong_files(workspace, folder, sums)
        if not sums:
            without.append(folder)
    return HashedFiles(files, wrong, without)
