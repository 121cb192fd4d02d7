import csv
import json
from pathlib import Path

import pytest

from datamodules.archive.folder import FolderArchive
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
    header = ",".join(
        ["many words " * 900, '"a\nWhat to do: pay"', *(f"c{number}" for number in range(5000))]
    )
    with pytest.raises(
        ReleaseError, match=r"it has 'many words .*…, 'a\\nWhat.*c17 and 4982 more\n"
    ) as refused:
        read_text(tmp_path, f"{header}\n")
    assert len(str(refused.value)) < 700
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


@pytest.mark.parametrize(
    ("column", "value", "pattern"),
    [
        ("audio_filename", "2018/p0.wav.pcm", r"audio_filename is '2018/p0\.wav\.pcm'\n.*must end in \.wav"),
        ("midi_filename", "2018/p0.wav.pcm", r"midi_filename is .*\n.*must end in \.midi or \.mid"),
        ("midi_filename", "manifest.json", r"must end in \.midi"),
        ("midi_filename", "2018\\..\\..\\x.midi", "below the release's root folder"),
        ("audio_filename", "/etc/x.wav", "below the release's root folder"),
        ("audio_filename", "2018/../../x.wav", "below the release's root folder"),
        ("audio_filename", "2018/" + "x" * 300 + ".wav", "shorter name"),
        ("audio_filename", "x/" * 20 + "x.wav", "shorter name"),
        ("audio_filename", "2018/\x07.wav", "cannot be printed"),
        ("canonical_title", "\udcff", "cannot be printed"),
        ("duration", 1e9, r"duration is 1000000000\.0\n.*at most 86,400"),
        ("duration", True, "duration is True"),
        ("year", 10**30, "year is"),
        ("year", [2009], "year is"),
        ("split", ["train"], "unknown split"),
    ],
)
def test_values_that_reach_too_far(tmp_path: Path, column: str, value: object, pattern: str) -> None:
    row = next(csv.DictReader((HEADER + GOOD_ROW).splitlines()))
    text = json.dumps([{**row, "duration": 60.5, "year": 2009, column: value}])
    with pytest.raises(ReleaseError, match=pattern):
        read_text(tmp_path, text, ".json")


@pytest.mark.parametrize("spelling", ["./2009/a.wav", "2009//a.wav", "2009/a.wav/", "2009/./a.wav"])
def test_one_recording_has_one_spelling(tmp_path: Path, spelling: str) -> None:
    again = GOOD_ROW.replace("train", "test").replace("2009/a.wav", spelling)
    with pytest.raises(ReleaseError, match=r"2009/a\.wav is in the splits test and train"):
        read_text(tmp_path, HEADER + GOOD_ROW + again)


@pytest.mark.parametrize(
    ("text", "suffix", "pattern"),
    [
        (HEADER + "\n" * (17 << 20), ".csv", "more than 16,777,216 bytes"),
        (HEADER + "\n" * (1 << 20), ".csv", "lists no performances"),
        (HEADER + '"' + "x" * 200_000, ".csv", "is no table"),
        ("[" * 100_000, ".json", "not valid JSON"),
        ("[" + "1" * 5000 + "]", ".json", "not valid JSON"),
    ],
)
def test_tables_made_to_harm(tmp_path: Path, text: str, suffix: str, pattern: str) -> None:
    with pytest.raises(ReleaseError, match=pattern):
        read_text(tmp_path, text, suffix)


@pytest.mark.slow
def test_a_table_of_too_many_rows(tmp_path: Path) -> None:
    rows = (f"C,T {number},train,2009,{number}.mid,{number}.wav,1\n" for number in range(100_001))
    with pytest.raises(ReleaseError, match="more than 100,000 rows"):
        read_text(tmp_path, HEADER + "".join(rows))
