import csv
import json
from pathlib import Path

import pytest

from datamodules.archive.base import FolderArchive
from datamodules.errors import ReleaseError
from datamodules.release.catalogue import Performance, read_catalogue
from datamodules.releases import find_release

V3 = find_release("v3.0.0")
HEADER = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n"
GOOD_ROW = 'Franz Schubert,"Sonata, D. 960",train,2009,2009/a.midi,2009/a.wav,60.5\n'


def read_text(folder: Path, text: str, suffix: str = ".csv") -> tuple[Performance, ...]:
    (folder / f"maestro-v3.0.0{suffix}").write_text(text, encoding="utf-8")
    return read_catalogue(FolderArchive(folder), V3)


def test_a_row_becomes_a_record(tmp_path: Path) -> None:
    expected = Performance(
        "Franz Schubert", "Sonata, D. 960", "train", 2009, "2009/a.midi", "2009/a.wav", 60.5
    )
    assert read_text(tmp_path, HEADER + GOOD_ROW) == (expected,)
    assert read_text(tmp_path, "\ufeff" + HEADER + GOOD_ROW) == (expected,)


def test_csv_and_both_json_layouts_agree(tiny_release: Path) -> None:
    archive = FolderArchive(tiny_release)
    from_csv = read_catalogue(archive, V3)
    assert [p.split for p in from_csv] == ["train"] * 3 + ["validation", "test"]
    with (tiny_release / "maestro-v3.0.0.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    (tiny_release / "maestro-v3.0.0.csv").unlink()
    assert read_catalogue(archive, V3) == from_csv  # by columns, as in v3
    (tiny_release / "maestro-v3.0.0.json").write_text(json.dumps(records))
    assert read_catalogue(archive, V3) == from_csv  # a list of records, as in v1 and v2


@pytest.mark.parametrize(
    ("row", "pattern"),
    [
        (GOOD_ROW.replace("train", "dev"), r"row 1: unknown split 'dev'\n.*train, validation, test"),
        (GOOD_ROW.replace("2009,", "MMIX,", 1), r"row 1: year is 'MMIX'"),
        (GOOD_ROW.replace("60.5", "-3"), r"row 1: duration is '-3'\n.*above 0"),
        (GOOD_ROW.replace("60.5", "nan"), r"row 1: duration is 'nan'"),
        (GOOD_ROW.replace("60.5", "long"), r"row 1: duration is 'long'"),
        (GOOD_ROW.replace("2009/a.wav", "../a.wav"), r"audio_filename is '\.\./a\.wav'\n.*below the release"),
        (GOOD_ROW.replace("2009/a.wav", "/etc/a.wav"), r"audio_filename is '/etc/a\.wav'"),
        (GOOD_ROW.replace("2009/a.wav", ""), r"audio_filename is ''\n.*not empty"),
        ("Franz Schubert\n", r"row 1: unknown split None"),
        ("", r"lists no performances"),
        (GOOD_ROW * 2, r"2009/a\.wav is listed 2 times\n.*duplicate"),
        (GOOD_ROW + GOOD_ROW.replace("train", "test"), r"2009/a\.wav is in the splits test and train"),
    ],
)
def test_faulty_rows(tmp_path: Path, row: str, pattern: str) -> None:
    with pytest.raises(ReleaseError, match=pattern):
        read_text(tmp_path, HEADER + row)


def test_missing_columns(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"lacks the column\(s\) split, year; it has canonical_composer, "):
        read_text(tmp_path, HEADER.replace("split,year,", "") + GOOD_ROW)
    with pytest.raises(ReleaseError, match=r"lacks the column\(s\) .*it has none"):
        read_text(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("{", "is not valid JSON"),
        ("3", "is neither a table by columns nor a list of records"),
        ('{"split": {"0": "train"}}', r"lacks the column\(s\) canonical_composer"),
        ('[{"split": "train"}]', r"lacks the column\(s\) canonical_composer"),
    ],
)
def test_faulty_json(tmp_path: Path, text: str, pattern: str) -> None:
    with pytest.raises(ReleaseError, match=pattern):
        read_text(tmp_path, text, ".json")


def test_json_columns_of_unequal_length(tiny_release: Path) -> None:
    (tiny_release / "maestro-v3.0.0.csv").unlink()
    path = tiny_release / "maestro-v3.0.0.json"
    columns = json.loads(path.read_text())
    del columns["split"]["2"]
    path.write_text(json.dumps(columns))
    with pytest.raises(ReleaseError, match="has no row '2' in every column"):
        read_catalogue(FolderArchive(tiny_release), V3)


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "maestro-v3.0.0.csv").write_bytes(HEADER.encode() + "Frédéric".encode("latin-1"))
    with pytest.raises(ReleaseError, match="is not UTF-8 text"):
        read_catalogue(FolderArchive(tmp_path), V3)


def test_no_metadata(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"holds neither maestro-v3\.0\.0\.csv nor maestro-v3\.0\.0\.json"):
        read_catalogue(FolderArchive(tmp_path), V3)


def test_one_title_in_two_splits_is_a_warning(tmp_path: Path) -> None:
    other = GOOD_ROW.replace("train", "test").replace("/a.", "/b.")
    with pytest.warns(
        UserWarning, match=r"1 composition\(s\) .* \(the first: Franz Schubert: Sonata, D\. 960\)"
    ):
        assert len(read_text(tmp_path, HEADER + GOOD_ROW + other)) == 2
