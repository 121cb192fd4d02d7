"""A folder of MIDI files without a release's table: each file is a performance."""

import hashlib
from pathlib import Path

from datamodules.archive.folder import FolderArchive
from datamodules.errors import ReleaseError
from datamodules.release.catalogue import Performance

SUFFIXES = (".mid", ".midi")
_VALIDATION_SHARE = _TEST_SHARE = 0.1


def read_midi_folder(folder: Path) -> tuple[FolderArchive, tuple[Performance, ...]]:
    """The MIDI files below a folder, by name, in splits.

    A tenth of the files, but at least one, is for validation and as much for test. Which ones is decided by a
    hash of what they hold, so that copies of a file, under whatever name, are in one split.

    Raises:
        ReleaseError: If there is no such folder, or fewer than three different files in it.
    """
    archive = FolderArchive(folder)
    names = [name for name in archive.members() if name.lower().endswith(SUFFIXES)] if folder.is_dir() else []
    digests = {name: hashlib.sha256(archive.read_bytes(name)).hexdigest() for name in names}
    order = sorted(set(digests.values()))
    if len(order) < 3:
        raise ReleaseError(
            f"source={str(folder)!r} holds {len(order)} different MIDI file(s)",
            "give a folder with at least three, one for each split, or name a release",
        )
    validation, test = (max(1, round(share * len(order))) for share in (_VALIDATION_SHARE, _TEST_SHARE))
    splits = ["validation"] * validation + ["test"] * test
    split_of = dict(zip(order, splits + ["train"] * (len(order) - len(splits)), strict=True))
    return archive, tuple(
        Performance("unknown", Path(name).stem, split_of[digests[name]], 0, name, name, 1.0) for name in names
    )
