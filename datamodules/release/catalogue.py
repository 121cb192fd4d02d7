"""A release's metadata: CSV or JSON -> validated `Performance` records."""

import csv
import io
import json
import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from datamodules.archive.base import Archive
from datamodules.errors import ReleaseError
from datamodules.releases import SPLITS, Release

COLUMNS = (
    "canonical_composer",
    "canonical_title",
    "split",
    "year",
    "midi_filename",
    "audio_filename",
    "duration",
)


@dataclass(frozen=True)
class Performance:
    """One recording of a release.

    Attributes:
        composer: Composer, as the release spells it.
        title: Title of the piece; not guaranteed to be spelt the same for each performance of it.
        split: "train", "validation" or "test".
        year: Year of the competition.
        midi: Member name of the MIDI file, relative to the release's root.
        audio: Member name of the WAV file; it identifies the performance.
        duration: Length of the performance in seconds, by the release's metadata.
    """

    composer: str
    title: str
    split: str
    year: int
    midi: str
    audio: str
    duration: float


def read_catalogue(archive: Archive, release: Release) -> tuple[Performance, ...]:
    """Read and validate the metadata of a release, in its own order.

    The CSV is used if present, else the JSON (column-oriented as in v3, or a list of records).

    Raises:
        ReleaseError: If metadata is absent, malformed or empty, or a performance is listed twice or is
            in two splits.
    """
    name, content = archive.metadata(release.metadata_names)
    text = _decode(content, name)
    rows = _csv_rows(text, name) if name.endswith(".csv") else _json_rows(text, name)
    performances = tuple(_performance(row, f"{name}, row {number}") for number, row in enumerate(rows, 1))
    if not performances:
        raise ReleaseError(f"{name} lists no performances", "restore the file from the official release")
    assert_disjoint_splits(performances, name)
    return performances


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReleaseError(f"{name} is not UTF-8 text ({error})", "restore the official file") from error


def _csv_rows(text: str, name: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    _require_columns(reader.fieldnames or (), name)
    return list(reader)


def _json_rows(text: str, name: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ReleaseError(f"{name} is not valid JSON ({error})", "restore the official file") from error
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        for row in content:
            _require_columns(row, name)
        return content
    if isinstance(content, dict) and all(isinstance(column, dict) for column in content.values()):
        _require_columns(content, name)
        return _rows_of_columns(content, name)
    raise ReleaseError(
        f"{name} is neither a table by columns nor a list of records", "restore the official file"
    )


def _rows_of_columns(columns: Mapping[str, Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    keys = list(columns["audio_filename"])
    try:
        return [{column: columns[column][key] for column in COLUMNS} for key in keys]
    except KeyError as error:
        raise ReleaseError(
            f"{name} has no row {error} in every column", "restore the official file"
        ) from error


def _require_columns(present: Sequence[str] | Mapping[str, Any], name: str) -> None:
    missing = [column for column in COLUMNS if column not in present]
    if missing:
        raise ReleaseError(
            f"{name} lacks the column(s) {', '.join(missing)}; it has {', '.join(present) or 'none'}",
            f"the metadata must have the columns {', '.join(COLUMNS)}",
        )


def _performance(row: Mapping[str, Any], where: str) -> Performance:
    """Validate one row."""
    split = row["split"]
    if split not in SPLITS:
        raise ReleaseError(f"{where}: unknown split {split!r}", f"allowed splits: {', '.join(SPLITS)}")
    return Performance(
        composer=_text(row, "canonical_composer", where),
        title=_text(row, "canonical_title", where),
        split=split,
        year=_year(row["year"], where),
        midi=_member_name(row, "midi_filename", where),
        audio=_member_name(row, "audio_filename", where),
        duration=_duration(row["duration"], where),
    )


def _text(row: Mapping[str, Any], column: str, where: str) -> str:
    value = row[column]
    if not isinstance(value, str) or not value.strip():
        raise ReleaseError(f"{where}: {column} is {value!r}", "it must be a text that is not empty")
    return value


def _member_name(row: Mapping[str, Any], column: str, where: str) -> str:
    """A file name below the release's root: metadata must not reach other files of the machine."""
    value = _text(row, column, where)
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ReleaseError(f"{where}: {column} is {value!r}", "it must lie below the release's root folder")
    return value


def _year(value: object, where: str) -> int:
    try:
        return int(str(value))
    except ValueError as error:
        raise ReleaseError(f"{where}: year is {value!r}", "it must be a whole number") from error


def _duration(value: object, where: str) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise ReleaseError(f"{where}: duration is {value!r}", "it must be a number of seconds above 0")
    return seconds


def assert_disjoint_splits(performances: Sequence[Performance], name: str) -> None:
    """Make sure that no recording is listed twice, above all not in two splits.

    Titles are not standardised in MAESTRO, so that equal composer and title in two splits may be a
    coincidence of naming ("Sonata"): it is reported, not refused.

    Raises:
        ReleaseError: If an audio file is listed twice or in two splits.
    """
    splits_of: dict[str, list[str]] = defaultdict(list)
    for performance in performances:
        splits_of[performance.audio].append(performance.split)
    for audio, splits in splits_of.items():
        if len(set(splits)) > 1:
            raise ReleaseError(
                f"{name}: {audio} is in the splits {' and '.join(sorted(set(splits)))}",
                "a recording may be in one split only, or evaluation would measure memory",
            )
        if len(splits) > 1:
            raise ReleaseError(f"{name}: {audio} is listed {len(splits)} times", "remove the duplicate rows")
    _warn_shared_compositions(performances, name)


def _warn_shared_compositions(performances: Sequence[Performance], name: str) -> None:
    splits_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for performance in performances:
        splits_of[performance.composer, performance.title].add(performance.split)
    shared = [f"{composer}: {title}" for (composer, title), splits in splits_of.items() if len(splits) > 1]
    if shared:
        warnings.warn(
            f"{name}: {len(shared)} composition(s) carry the same composer and title in more than one split "
            f"(the first: {shared[0]}); evaluation on them may flatter the model",
            stacklevel=2,
        )
