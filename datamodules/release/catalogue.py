"""A release's metadata: CSV or JSON -> validated `Performance` records."""

import csv
import io
import json
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from datamodules.archive.base import Archive
from datamodules.errors import ReleaseError
from datamodules.releases import COLUMNS, SPLITS, Release

_LISTED = 20
"""Columns that an error names."""
_MOST_ROWS = 100_000
_LONGEST_SECONDS = 86_400.0
LONGEST_NAME_BYTES = 240
"""Of one folder or file; file systems allow 255, and the cache adds to it."""
_SUFFIXES = {"audio_filename": (".wav",), "midi_filename": (".midi", ".mid")}


@dataclass(frozen=True)
class Performance:
    """One recording of a release.

    Attributes:
        composer: Composer, as the release spells it.
        title: Title of the piece; not guaranteed to be spelt the same for each performance of it.
        split: "train", "validation" or "test".
        year: Year of the competition.
        midi: Member name of the MIDI file, relative to the release's root.
        audio: Member name of the WAV file, in plain spelling; it identifies the performance.
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
    rows = _csv_rows(text, name) if name.endswith(".csv") else iter(_json_rows(text, name))
    performances = tuple(
        _performance(row, f"{name}, row {number}") for number, row in enumerate(_limited(rows, name), 1)
    )
    if not performances:
        raise ReleaseError(f"{name} lists no performances", "restore the file from the official release")
    assert_disjoint_splits(performances, name)
    return performances


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReleaseError(f"{name} is not UTF-8 text ({error})", "restore the official file") from error


def _limited(rows: Iterator[Mapping[str, Any]], name: str) -> Iterator[Mapping[str, Any]]:
    for number, row in enumerate(rows):
        if number == _MOST_ROWS:
            raise ReleaseError(
                f"{name} has more than {_MOST_ROWS:,} rows", "restore the file from the official release"
            )
        yield row


def _csv_rows(text: str, name: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        _require_columns(reader.fieldnames or (), name)
        yield from reader
    except csv.Error as error:
        raise ReleaseError(f"{name} is no table ({error})", "restore the official file") from error


def _json_rows(text: str, name: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
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
        found = [each if len(each) <= 50 and each.isprintable() else f"{each!r:.50}…" for each in present]
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise ReleaseError(
            f"{name} lacks the column(s) {', '.join(missing)}; it has "
            f"{', '.join(found[:_LISTED]) or 'none'}{more}",
            f"the metadata must have the columns {', '.join(COLUMNS)}",
        )


def _performance(row: Mapping[str, Any], where: str) -> Performance:
    """Validate one row."""
    split = row["split"]
    if split not in SPLITS:
        raise ReleaseError(f"{where}: unknown split {split!r:.200}", f"allowed splits: {', '.join(SPLITS)}")
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
        raise ReleaseError(f"{where}: {column} is {value!r:.200}", "it must be a text that is not empty")
    if not value.isprintable():
        raise ReleaseError(
            f"{where}: {column} is {value!r:.200}", "take out the characters that cannot be printed"
        )
    return value


def _member_name(row: Mapping[str, Any], column: str, where: str) -> str:
    """A file name below the release's root, in one spelling.

    Metadata must not reach other files of the machine, nor those that the cache itself makes; and
    `./2018//a.wav` is `2018/a.wav`, or one recording could be in two splits.
    """
    value = _text(row, column, where)
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value:
        raise ReleaseError(
            f"{where}: {column} is {value!r:.200}", "it must lie below the release's root folder"
        )
    if path.suffix.lower() not in _SUFFIXES[column]:
        raise ReleaseError(
            f"{where}: {column} is {value!r:.200}", f"it must end in {' or '.join(_SUFFIXES[column])}"
        )
    if len(path.parts) > 8 or any(len(part.encode()) > LONGEST_NAME_BYTES for part in path.parts):
        raise ReleaseError(f"{where}: {column} is {value!r:.200}", "give it a shorter name")
    return str(path)


def _year(value: object, where: str) -> int:
    if not (isinstance(value, int | str) and re.fullmatch(r"\s*[0-9]{1,4}\s*", str(value)[:50])):
        raise ReleaseError(f"{where}: year is {value!r:.200}", "it must be a whole number of four digits")
    return int(value)


def _duration(value: object, where: str) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ReleaseError(
            f"{where}: duration is {value!r:.200}",
            f"it must be a number of seconds above 0, and at most {_LONGEST_SECONDS:,.0f}",
        )
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
