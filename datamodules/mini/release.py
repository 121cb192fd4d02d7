"""The embedded release on disk: rendered when first needed, in the layout of MAESTRO v3."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import unicodedata
import wave
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from datamodules.cache.folder_lock import single_writer
from datamodules.errors import ReleaseError
from datamodules.mini.midi import write_midi
from datamodules.mini.performance import Performance, perform
from datamodules.mini.piano import Piano
from datamodules.mini.recording import record
from datamodules.mini.score import Score
from datamodules.mini.scores_classical import CLASSICAL
from datamodules.mini.scores_late import LATE
from datamodules.mini.scores_romantic import ROMANTIC
from datamodules.releases import COLUMNS

_Item = TypeVar("_Item")

MINI_VERSION = "1"
"""Changes with every change of a byte of the release, so that old copies are rendered again."""

MANIFEST = "manifest.json"

SCORES: tuple[Score, ...] = tuple(
    sorted((*CLASSICAL, *ROMANTIC, *LATE), key=lambda score: (score.composer, score.title))
)
"""The pieces, in the order of the metadata."""

MINI_PERFORMANCES = {
    split: sum(score.split == split for score in SCORES) for split in ("train", "validation", "test")
}
"""Number of performances in each split."""

_README = """\
This is `mini`, a miniature in the layout of MAESTRO v3.0.0. It is not part of the MAESTRO dataset.

It holds {count} openings of works in the public domain, written down as notes, played by a program with
seeded deviations of timing and touch, and rendered by an additive piano synthesiser. Nothing in it was
recorded, and no file of another data set was used. Version {version}.

mini.csv and mini.json hold one row for each performance: {columns}.
`duration` is the end of the last note of the MIDI file, in seconds; the audio rings on a little longer.
manifest.json holds the size and the SHA-256 of every file.
"""

_LICENSE = """\
The music is in the public domain. To the extent possible under law, the authors of this program have waived
all copyright and related rights to these performances, MIDI files and audio files under CC0 1.0 Universal:
https://creativecommons.org/publicdomain/zero/1.0/
"""


def render_mini(folder: Path, workers: int | None = None, progress: bool = True) -> Path:
    """Make the embedded release, unless a whole copy of this version is already there.

    Nothing half-written is ever left under its name: it is rendered into a folder beside it, which is renamed
    when it is whole. Two processes that ask at once wait for one another.

    Args:
        folder: Where the folder `mini` is to lie; made if absent.
        workers: Pieces rendered at once; one for each available processor by default. The bytes do not
            depend on it.
        progress: Whether to show a progress bar.

    Returns:
        `folder / "mini"`.

    Raises:
        ReleaseError: If the folder cannot be written, or the disk is full.
        ValueError: If `workers` is less than 1.
    """
    folder = Path(folder)
    release = folder / "mini"
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: give at least 1, or None for one for each processor")
    if is_complete(release):
        return release
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with single_writer(folder / ".mini", progress):
            if not is_complete(release):
                _render_beside(release, workers or _available_processors(), progress)
    except OSError as error:
        raise ReleaseError(
            f"the embedded release cannot be written to {folder}: {error}",
            "give a folder that can be written, on a disk with 250 MB free",
        ) from error
    return release


def write_mini_midi(folder: Path) -> Path:
    """Make the embedded release without its sound, in a second: table and MIDI files, the same bytes.

    Args:
        folder: Where the folder `mini-midi` is to lie; made if absent.

    Returns:
        `folder / "mini-midi"`.

    Raises:
        OSError: If it cannot be written.
    """
    release = folder / "mini-midi"
    folder.mkdir(parents=True, exist_ok=True)
    with single_writer(release, progress=False):
        if not is_complete(release):
            _render_beside(release, 1, progress=False, with_sound=False)
    return release


def is_complete(release: Path) -> bool:
    """Whether a folder holds this version of the release with every file at its full size."""
    try:
        manifest = json.loads((release / MANIFEST).read_text(encoding="utf-8"))
        if manifest["version"] != MINI_VERSION:
            return False
        files: dict[str, dict[str, int]] = manifest["files"]
        return all((release / name).stat().st_size == facts["bytes"] for name, facts in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _render_beside(release: Path, workers: int, progress: bool, with_sound: bool = True) -> None:
    """Render into a neighbouring folder and put it into place; the caller holds the lock."""
    partial, old = (release.with_name(f".{release.name}.{word}") for word in ("partial", "old"))
    for leftover in (partial, old):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        partial.mkdir()
        _write_release(partial, workers, progress, with_sound)
        if release.exists():
            release.rename(old)
        partial.rename(release)
    finally:
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _write_release(folder: Path, workers: int, progress: bool, with_sound: bool) -> None:
    """Write every file of the release, the manifest last."""
    for score in SCORES:
        (folder / str(score.year)).mkdir(exist_ok=True)
    if with_sound:
        rows = _render_all(folder, workers, progress)
    else:
        rows = [_write_piece(folder, score, perform(score, _seed(score))) for score in SCORES]
    (folder / "mini.csv").write_text(_csv(rows), encoding="utf-8", newline="")
    (folder / "mini.json").write_text(_json(rows), encoding="ascii", newline="")
    readme = _README.format(count=len(SCORES), version=MINI_VERSION, columns=", ".join(COLUMNS))
    (folder / "README").write_text(readme, encoding="utf-8", newline="")
    (folder / "LICENSE").write_text(_LICENSE, encoding="utf-8", newline="")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): _facts(path) for path in paths}
    manifest = {"version": MINI_VERSION, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="ascii", newline="")


def _render_all(folder: Path, workers: int, progress: bool) -> list[dict[str, str | int | float]]:
    """Render all pieces, several at once.

    Threads, not processes: nearly all the time is spent inside numpy, which lets other threads run; there is
    no interpreter to start, and scripts and notebooks need no main guard. BLAS keeps to one thread per piece:
    its products are small, and threads that wait for each other spoil the whole gain on a busy machine.
    """
    from threadpoolctl import threadpool_limits

    longest_first = sorted(range(len(SCORES)), key=lambda index: -len(SCORES[index].notes()))
    pianos = {rate: Piano(rate) for rate in sorted({score.sample_rate for score in SCORES})}
    rows: dict[int, dict[str, str | int | float]] = {}
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        jobs = {
            pool.submit(_render_piece, folder, SCORES[index], pianos[SCORES[index].sample_rate]): index
            for index in longest_first
        }
        try:
            for job in _with_progress(as_completed(jobs), len(jobs), progress):
                rows[jobs[job]] = job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [rows[index] for index in range(len(SCORES))]


def _with_progress(items: Iterator[_Item], total: int, visible: bool) -> Iterator[_Item]:
    """Pass the items on, counting them in a progress bar."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, disable=not visible) as bar:
        yield from bar.track(items, total=total, description="Rendering the embedded release (once)")


def _render_piece(folder: Path, score: Score, piano: Piano) -> dict[str, str | int | float]:
    """Play and record one piece.

    Returns:
        Its row of the metadata.
    """
    performance = perform(score, _seed(score))
    pcm = record(performance, piano, score.peak_dbfs, _seed(score))
    with wave.open(str(folder / f"{_file_name(score)}.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(score.sample_rate)
        file.writeframes(pcm.astype("<i2").tobytes())
    return _write_piece(folder, score, performance)


def _seed(score: Score) -> int:
    return zlib.crc32(f"{score.composer}: {score.title}".encode())


def _write_piece(folder: Path, score: Score, performance: Performance) -> dict[str, str | int | float]:
    """Write the MIDI file of a piece; returns its row of the metadata."""
    name = _file_name(score)
    write_midi(performance, folder / f"{name}.midi")
    facts = (score.composer, score.title, score.split, score.year, f"{name}.midi", f"{name}.wav")
    return dict(zip(COLUMNS, (*facts, round(performance.duration, 9)), strict=True))


def _file_name(score: Score) -> str:
    """Year folder and file name without suffix: ASCII letters, digits and `_`."""
    surname = score.composer.split()[-1]
    plain = unicodedata.normalize("NFKD", f"{surname} {score.title}").encode("ascii", "ignore").decode()
    return f"{score.year}/MINI-{re.sub('[^A-Za-z0-9]+', '_', plain).strip('_')}_{score.year}_wav"


def _csv(rows: list[dict[str, str | int | float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _json(rows: list[dict[str, str | int | float]]) -> str:
    """Column-oriented, ASCII, `/` escaped: what pandas' `to_json` writes, and MAESTRO ships."""
    columns = {column: {str(index): row[column] for index, row in enumerate(rows)} for column in COLUMNS}
    return json.dumps(columns, separators=(",", ":")).replace("/", "\\/")


def _facts(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _available_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
