"""Damaged and hostile files of every kind that the data modules read: a sentence, no traceback, no hang.

Good files of each kind are cut, lengthened and changed byte by byte, five hundred times each, always in the
same way. Whatever is read must be read in the same way from a folder and from an archive.
"""

import csv
import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fuzzing import EDITS, JSON, Edits, damaged, fuzzed, outcome
from hypothesis import strategies as st

from datamodules.archive.folder import FolderArchive
from datamodules.archive.open import open_archive
from datamodules.cache.decoding import convert_to_pcm
from datamodules.cache.integrity import find_changed
from datamodules.cache.pcm import CacheEntry, CacheSpec, open_cache, pcm_path, read_manifest, write_manifest
from datamodules.mini import midi, performance
from datamodules.mini.release import SCORES
from datamodules.release.catalogue import Performance, read_catalogue
from datamodules.release.notes import read_played
from datamodules.releases import COLUMNS, find_release

pytestmark = pytest.mark.slow

V3 = find_release("v3.0.0")
SPEC = CacheSpec("v3.0.0", 16_000, 1, "catalogue")


def rows() -> list[dict[str, object]]:
    splits = ("train", "validation", "test")
    facts = [("C", f'"T" {n}', splits[n % 3], 2009, f"2009/{n}.midi", f"2009/{n}.wav", 2.5) for n in range(6)]
    return [dict(zip(COLUMNS, each, strict=True)) for each in facts]


def table(kind: str) -> bytes:
    if kind == "csv":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(rows())
        return text.getvalue().encode()
    if kind == "records":
        return json.dumps(rows()).encode()
    return json.dumps({c: {str(n): row[c] for n, row in enumerate(rows())} for c in COLUMNS}).encode()


def in_folder_and_archive(name: str, content: bytes, read: Callable) -> tuple[object, object]:
    """The outcomes of reading one file in a folder and in an archive."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "maestro-v3.0.0"
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(content)
        with zipfile.ZipFile(f"{place}/a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"maestro-v3.0.0/{name}", content)
        folder, archive = FolderArchive(root), open_archive(V3, f"{place}/a.zip")
        return outcome(lambda: read(folder)), outcome(lambda: read(archive))


@pytest.mark.parametrize("kind", ["csv", "records", "columns"])
def test_catalogues(kind: str) -> None:
    @fuzzed(EDITS)
    def check(edits: Edits) -> None:
        name = f"maestro-v3.0.0.{'csv' if kind == 'csv' else 'json'}"
        first, second = in_folder_and_archive(
            name, damaged(table(kind), edits), lambda archive: read_catalogue(archive, V3)
        )
        assert first == second

    check()


def test_catalogues_of_other_values() -> None:
    @fuzzed(st.tuples(st.sampled_from(COLUMNS), JSON))
    def check(change: tuple[str, object]) -> None:
        content = [{**rows()[0], change[0]: change[1]}, *rows()[1:]]
        first, second = in_folder_and_archive(
            "maestro-v3.0.0.json",
            json.dumps(content).encode(),
            lambda archive: read_catalogue(archive, V3),
        )
        assert first == second

    check()


def wav(subtype: str, form: str, channels: int) -> bytes:
    target = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (400, channels))
    soundfile.write(target, noise, 44_100, subtype, format=form)
    return target.getvalue()


@pytest.mark.parametrize(
    ("subtype", "form", "channels"), [("PCM_16", "WAV", 2), ("PCM_24", "WAVEX", 1), ("FLOAT", "WAV", 2)]
)
def test_recordings(subtype: str, form: str, channels: int) -> None:
    good = wav(subtype, form, channels)

    def read(archive: object) -> tuple[object, bytes]:
        target = io.BytesIO()
        with archive.open("2009/a.wav") as source:  # type: ignore[attr-defined]
            summary = convert_to_pcm(source, target, 16_000, 1)
        return summary, target.getvalue()

    @fuzzed(EDITS)
    def check(edits: Edits) -> None:
        first, second = in_folder_and_archive("2009/a.wav", damaged(good, edits), read)
        assert first == second

    check()


def test_midi(tmp_path: Path) -> None:
    midi.write_midi(performance.perform(SCORES[0], 0), tmp_path / "a.midi")
    good = (tmp_path / "a.midi").read_bytes()[:600] + b"\x00\xff\x2f\x00"

    @fuzzed(EDITS)
    def check(edits: Edits) -> None:
        played = outcome(lambda: read_played(damaged(good, edits)))
        if not isinstance(played, type):
            notes = played.notes  # type: ignore[attr-defined]
            assert np.isfinite(notes.onset).all() and (notes.onset >= 0).all()
            assert (notes.offset >= notes.onset).all()

    check()


def test_archives(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("maestro-v3.0.0/maestro-v3.0.0.csv", table("csv"))
        archive.writestr("maestro-v3.0.0/2009/0.wav", wav("PCM_16", "WAV", 2))
        archive.writestr("maestro-v3.0.0/2009/0.midi", b"MThd" * 50, zipfile.ZIP_STORED)
    good = target.getvalue()
    expected = {"2009/0.midi": b"MThd" * 50, "maestro-v3.0.0.csv": table("csv")}

    @fuzzed(st.tuples(EDITS, st.booleans()))
    def check(case: tuple[Edits, bool]) -> None:
        edits, in_directory = case
        start = good.index(b"PK\x01\x02") if in_directory else 0
        path = tmp_path / "a.zip"
        path.write_bytes(good[:start] + damaged(good[start:], edits))
        opened = open_archive(V3, path)
        members = outcome(opened.members)
        for member in members if isinstance(members, list) else ():
            outcome(lambda member=member: opened.fingerprint(member))  # type: ignore[misc]
            content = outcome(lambda member=member: opened.read_bytes(member))  # type: ignore[misc]
            if isinstance(content, bytes):
                # what comes through is what was packed, whatever it is called now
                found = opened.fingerprint(member)
                assert found == f"{len(content)}-crc{zlib.crc32(content):08x}"
                assert content in expected.values() or member not in expected or in_directory

    check()


@pytest.fixture
def cache(tmp_path: Path) -> tuple[Path, list[Performance]]:
    (tmp_path / "cache/2009").mkdir(parents=True)
    folder = tmp_path / "cache"
    entries = {}
    for number in range(3):
        content = bytes([number]) * 200
        pcm_path(folder, f"2009/{number}.wav").write_bytes(content)
        entries[f"2009/{number}.wav"] = CacheEntry(100, zlib.crc32(content), "1-1", 44_100, 0)
    write_manifest(folder, SPEC, entries)
    performances = [
        Performance("C", "T", "train", 2009, f"2009/{n}.mid", f"2009/{n}.wav", 1.0) for n in range(3)
    ]
    return folder, performances


def test_manifests(cache: tuple[Path, list[Performance]]) -> None:
    folder, performances = cache
    good = (folder / "manifest.json").read_bytes()

    @fuzzed(EDITS)
    def check(edits: Edits) -> None:
        (folder / "manifest.json").write_bytes(damaged(good, edits))
        outcome(lambda: open_cache(folder, SPEC, performances))

    check()


def test_manifests_of_other_values(cache: tuple[Path, list[Performance]]) -> None:
    folder, performances = cache
    good = json.loads((folder / "manifest.json").read_bytes())
    names = [*good, *good["performances"]["2009/0.wav"]]

    @fuzzed(st.tuples(st.sampled_from(names), JSON))
    def check(change: tuple[str, object]) -> None:
        content = json.loads(json.dumps(good))
        place = content if change[0] in content else content["performances"]["2009/0.wav"]
        place[change[0]] = change[1]
        (folder / "manifest.json").write_text(json.dumps(content))
        outcome(lambda: open_cache(folder, SPEC, performances))

    check()


def test_cached_samples_and_what_is_remembered_of_them(cache: tuple[Path, list[Performance]]) -> None:
    folder, performances = cache
    path = pcm_path(folder, "2009/1.wav")
    good, entries = path.read_bytes(), read_manifest(folder, SPEC)
    find_changed(folder, entries)
    memory = folder.with_name(folder.name + ".checked.json")
    remembered = memory.read_bytes()

    @fuzzed(st.tuples(EDITS, EDITS))
    def check(case: tuple[Edits, Edits]) -> None:
        content = damaged(good, case[0])
        path.write_bytes(content)
        memory.write_bytes(damaged(remembered, case[1]))
        changed = outcome(lambda: find_changed(folder, entries))
        assert (changed == ["2009/1.wav"]) == (content != good)
        outcome(lambda: open_cache(folder, SPEC, performances))

    check()
