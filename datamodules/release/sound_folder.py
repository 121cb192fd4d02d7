"""A person's own folder of sound files, without a release's table: each file is a recording."""

import hashlib
import os
import unicodedata
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from datamodules.archive.folder import REFUSED, FileStream, FolderArchive
from datamodules.archive.sound_stream import SoundStream
from datamodules.errors import AudioError, ReleaseError
from datamodules.release.catalogue import LONGEST_NAME_BYTES, Performance
from datamodules.release.midi_folder import SUFFIXES as MIDI_SUFFIXES
from datamodules.releases import SPLITS

SUFFIXES = tuple(
    ".wav .wave .bwf .rf64 .w64 .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .snd .caf".split()
)
"""Names of what libsndfile reads."""

UNREAD_SUFFIXES = tuple(".m4a .aac .mp4 .wma .ape .wv .mka .webm".split())
"""Names of sound that it does not read: named, not passed over."""

SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
_SHARE = 0.1
"""Of all recordings, for validation and for test each."""

_LEAST_RECORDINGS = 3
_SHORTEST_SECONDS = 0.1
_READERS = 8


class SoundFolder(FolderArchive):
    """Sound files and MIDI files in a folder and below, also behind links; hidden ones are left out.

    Args:
        root: The folder.

    Attributes:
        refused: Members that cannot be used, and why.
    """

    is_release = False
    may_leave = True

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.refused: dict[str, str] = {}

    def members(self) -> list[str]:
        """Every file once, whatever links lead to it, by the name of the file itself where there is one."""
        seen: set[tuple[int, int]] = set()
        found = []
        for path in self._files():
            status = path.stat()
            if (key := (status.st_dev, status.st_ino)) not in seen:
                seen.add(key)
                found.append(path.relative_to(self.root).as_posix())
        return sorted(found)

    def _files(self) -> Iterator[Path]:
        """All files; those that links lead to come last."""
        folders, linked, links = deque([self.root]), deque[Path](), list[Path]()
        seen: set[tuple[int, int]] = set()  # links may lead in circles
        while folders or linked:
            folder = folders.popleft() if folders else linked.popleft()
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            for path in self._listed(folder):
                if path.is_dir():
                    (linked if path.is_symlink() else folders).append(path)
                elif path.is_symlink():
                    links.append(path)
                elif path.is_file():
                    yield path
        for path in links:
            if path.is_file():
                yield path
            elif path.name.lower().endswith(SUFFIXES):
                self.refused[path.relative_to(self.root).as_posix()] = "a link that leads nowhere"

    def _listed(self, folder: Path) -> list[Path]:
        try:
            return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            name = folder.relative_to(self.root).as_posix()
            self.refused[name] = f"the folder cannot be read ({error.strerror})"
            return []

    def fingerprint(self, member: str) -> str | None:  # noqa: D102
        return REFUSED if member in self.refused else super().fingerprint(member)

    @contextmanager
    def open(self, member: str, keep: Path | None = None) -> Iterator[FileStream]:
        """The file's content.

        Raises:
            AudioError: If it cannot be read, or is refused.
        """
        if member in self.refused:
            raise AudioError(f"{self.root}/{member}: {self.refused[member]}", "rename or move it")
        with super().open(member, keep) as stream:
            yield stream


def read_sound_folder(folder: Path) -> tuple[SoundFolder, tuple[Performance, ...]]:
    """The sound files below a folder, by name, in splits; a MIDI file of the same stem has the notes.

    If the folder has a folder `train`, files in `train`, `validation` (or `val`) and `test` are in these
    splits. Otherwise `split_of` decides. Files that cannot be used are among them too: whoever decodes them
    says why.

    Raises:
        ReleaseError: If there is no such folder, or it has no sound files, or fewer than three are readable.
    """
    if not folder.is_dir():
        raise ReleaseError(f"source={str(folder)!r} is no folder", "give the folder of your recordings")
    archive = SoundFolder(folder)
    members = archive.members()
    names = [name for name in members if name.lower().endswith(SUFFIXES + UNREAD_SUFFIXES)]
    names += list(archive.refused)
    if not names:
        raise _nothing_found(folder, members)
    by_folders = any(_top(name) == "train" for name in members)
    archive.refused.update({name: why for name in names if (why := _refusal(name, by_folders))})
    with ThreadPoolExecutor(_READERS) as pool:
        seconds = dict(zip(names, pool.map(lambda name: _seconds(archive, name), names), strict=True))
    splits = {
        name: SPLIT_FOLDERS.get(_top(name), "train") if by_folders else split_of(name) for name in names
    }
    if not by_folders:
        usable = [name for name in names if seconds[name] >= _SHORTEST_SECONDS]
        splits |= _missing_splits(folder, usable)
    midi = {_stem(name): name for name in reversed(members) if name.lower().endswith(MIDI_SUFFIXES)}
    return archive, tuple(
        Performance(
            composer=PurePosixPath(name).parent.name,
            title=PurePosixPath(name).stem,
            split=splits[name],
            year=0,
            midi=midi.get(_stem(name), f"{_stem(name)}.mid"),
            audio=name,
            duration=max(seconds[name], 1e-3),
        )
        for name in names
    )


def split_of(name: str) -> str:
    """The split of a file: by its name alone, so that a new file never moves another.

    A tenth of all names is for validation and a tenth for test. The suffix does not count: `take.wav` and
    `take.mp3` are one recording.

    Args:
        name: Relative to the folder, with forward slashes.
    """
    return _split(_stem(name))


def _split(stem: str) -> str:
    share = _share(stem)
    return "validation" if share < _SHARE else "test" if share < 2 * _SHARE else "train"


def _share(stem: str) -> float:
    """A number in [0, 1) that a name decides, in whichever of Unicode's spellings."""
    content = unicodedata.normalize("NFC", stem).encode(errors="surrogateescape")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64


def _missing_splits(folder: Path, usable: list[str]) -> dict[str, str]:
    """Splits of the recordings that have to leave another split because there are none for one.

    Raises:
        ReleaseError: If there are too few recordings for three splits.
    """
    stems = sorted({_stem(name) for name in usable}, key=_share)
    if 0 < len(stems) < _LEAST_RECORDINGS:
        raise ReleaseError(
            f"source={str(folder)!r} holds {len(stems)} recording(s) that can be read",
            f"give at least {_LEAST_RECORDINGS} files, one for each split; a long one can be cut",
        )
    splits = {stem: _split(stem) for stem in stems}
    taken: dict[str, str] = {}
    for split in SPLITS if stems else ():
        if split not in splits.values():
            (largest, _), *_ = Counter(splits.values()).most_common(1)
            stem = next(stem for stem in stems if splits[stem] == largest)
            splits[stem] = taken[stem] = split
    if taken:
        listed = ", ".join(f"{stem} ({split})" for stem, split in taken.items())
        warnings.warn(
            f"{folder} has too few recordings to leave the choice of splits to their names: {listed}. That "
            "may change when recordings are added; folders train/, validation/ and test/ fix it",
            stacklevel=2,
        )
    return {name: taken[stem] for name in usable if (stem := _stem(name)) in taken}


def _nothing_found(folder: Path, members: list[str]) -> ReleaseError:
    found = f"{len(members):,} other file(s), such as {members[0]}" if members else "no files at all"
    return ReleaseError(
        f"source={str(folder)!r} holds no sound files: {found}",
        f"looked there and in the folders below, not in hidden ones, for names in {', '.join(SUFFIXES)}",
    )


def _refusal(name: str, by_folders: bool) -> str | None:
    """Why a file cannot be used whatever it holds; None if nothing speaks against it."""
    if name.lower().endswith(UNREAD_SUFFIXES):
        return "not a kind of sound file that is read; convert it to WAV or FLAC"
    if by_folders and _top(name) not in SPLIT_FOLDERS:
        return "lies in none of the folders train, validation and test"
    if not name.isprintable():
        return "its name has characters that cannot be printed"
    if any(len(part.encode()) > LONGEST_NAME_BYTES for part in PurePosixPath(name).parts):
        return f"its name has more than {LONGEST_NAME_BYTES} bytes"
    return None


def _seconds(archive: SoundFolder, name: str) -> float:
    """How long a file says that it is; 0 if it cannot be used."""
    try:
        with archive.open(name) as source:
            stream = SoundStream(source.file, name)
            # without a length in its header, as if it were not packed
            frames = stream.frames or archive.size(name) // (2 * stream.channels)
            return frames / stream.samplerate
    except (AudioError, FileNotFoundError):
        return 0.0


def _top(name: str) -> str:
    """The folder directly below the root that a member lies in; empty for none."""
    first, slash, _ = name.partition("/")
    return first.lower() if slash else ""


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
