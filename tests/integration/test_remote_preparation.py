"""A cache made from a server: the same bytes as from the folder, few bytes moved, every fault survived."""

import dataclasses
import email.utils
import socket
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from range_server import Fault, RangeServer, cut, flip, replaced, serve, stall, status, wrong_length

from datamodules.archive.http_file import TransferPolicy
from datamodules.cache import preparation
from datamodules.cache.preparation import Preparation
from datamodules.errors import AudioError, CacheError, ReleaseError
from datamodules.releases import find_release

# a busy machine may keep the server's thread waiting for seconds: only the tests of a stall call that one
PATIENT = TransferPolicy(attempts=4, stall_seconds=20.0, backoff_seconds=0.01, longest_pause_seconds=2.0)
IMPATIENT = dataclasses.replace(PATIENT, stall_seconds=0.4)
MEMBER = "2009/a.wav"


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., Preparation]:
    """A function that makes the preparation of a source; options as keywords."""

    def make(source: str | Path, cache: str = "cache", **options: object) -> Preparation:
        defaults = {"release": "v3.0.0", "transfer": PATIENT, "progress": False}
        return Preparation(source=source, cache_dir=tmp_path / cache, **{**defaults, **options})  # type: ignore[arg-type]

    return make


def pcm(made: Preparation) -> dict[str, bytes]:
    """Every PCM file of the cache by its name; no other file may lie there but the manifest."""
    folder = made.status().folder
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files.pop("manifest.json")
    assert all(name.endswith(".pcm") for name in files)
    return files


@pytest.fixture
def expected(tiny_release: Path, prepare: Callable[..., Preparation]) -> dict[str, bytes]:
    """What the folder gives."""
    made = prepare(tiny_release, "expected")
    made.prepare()
    return pcm(made)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_cache_is_that_of_the_folder(
    tiny_release: Path,
    web: Path,
    server: RangeServer,
    pack: Callable[..., Path],
    prepare: Callable[..., Preparation],
    expected: dict[str, bytes],
    compression: int,
) -> None:
    archive = pack(tiny_release, web / "maestro-v3.0.0.zip", compression)
    local = prepare(archive, "local")
    local.prepare()
    remote = prepare(f"{server.url}/maestro-v3.0.0.zip", "remote")
    remote.prepare()
    assert pcm(local) == pcm(remote) == expected
    assert remote.open()[0].identity == local.open()[0].identity
    assert server.moved < 1.05 * archive.stat().st_size + 80_000  # a small archive: the directory weighs


def test_a_complete_cache_needs_no_network(
    tiny_url: str, server: RangeServer, prepare: Callable[..., Preparation]
) -> None:
    made = prepare(tiny_url)
    made.prepare()
    before = len(server.requests)
    made.prepare()
    cache, performances = made.open()
    assert len(cache.audio) == len(performances) == 5
    assert made.status().fetch_bytes == 0
    assert len(server.requests) == before


def test_a_part_costs_only_its_own_members(
    tiny_url: str, server: RangeServer, prepare: Callable[..., Preparation], tiny_release: Path
) -> None:
    made = prepare(tiny_url, splits=["test"])
    made.prepare()
    size = (tiny_release / "2014/e.wav").stat().st_size
    assert size < server.moved < size + 90_000
    assert [p.audio for p in made.open()[1]] == ["2014/e.wav"]
    wider = prepare(tiny_url)
    others = ("2009/a.wav", "2009/b.wav", "2014/c.wav", "2009/d.wav")
    assert wider.status().fetch_bytes == sum((tiny_release / name).stat().st_size for name in others)


@pytest.mark.parametrize(
    "faults",
    [
        [cut(0)],
        [cut(100_000), cut(50_000), cut(1)],
        [status(500), status(503)],
        [status(429)],
        [wrong_length(+1000)],
        [wrong_length(-1000)],
        [flip(200_000)],
        [flip(10), flip(60)],
    ],
    ids=["cut at once", "cuts", "500", "429", "too long", "too short", "flip", "header flips"],
)
def test_faults_that_pass(
    tiny_url: str,
    server: RangeServer,
    prepare: Callable[..., Preparation],
    expected: dict[str, bytes],
    faults: list[Fault],
) -> None:
    server.faults = list(faults)
    made = prepare(tiny_url)
    made.prepare()
    assert server.faults == []
    assert pcm(made) == expected


@pytest.mark.parametrize("asked", ["1", "date"])
def test_the_server_may_ask_for_a_pause(
    tiny_url: str, server: RangeServer, prepare: Callable[..., Preparation], asked: str
) -> None:
    """As a number of seconds, or as a time."""
    # dates have whole seconds: of two and a bit, one and a bit is left at least
    value = email.utils.formatdate(time.time() + 2, usegmt=True) if asked == "date" else asked
    server.faults = [status(429, {"Retry-After": value})]
    start = time.monotonic()
    prepare(tiny_url, splits=["test"]).prepare()
    assert time.monotonic() - start >= 0.95


def test_a_cut_costs_only_what_is_missing(
    tiny_url: str, server: RangeServer, prepare: Callable[..., Preparation], tiny_release: Path
) -> None:
    server.faults = [cut(200_000), cut(200_000)]
    prepare(tiny_url, splits=["test"]).prepare()
    assert server.moved < (tiny_release / "2014/e.wav").stat().st_size + 90_000
    starts = [start for path, start, count in server.requests if path.endswith(".zip") and count > 70_000]
    # what the server sent last before the cut may be lost with the connection
    assert starts[1] - starts[0] == pytest.approx(200_000, abs=66_000) and len(starts) == 3


@pytest.mark.parametrize(
    ("fault", "pattern"),
    [
        (status(404), r"the server answered 404 Not Found\n.*nothing lies there"),
        (status(403), r"the server answered 403 Forbidden\n.*access is forbidden"),
        (status(401), r"the server answered 401 .*\n.*log-in"),
        (status(500), r"the server answered 500 .* \(4 attempt\(s\) in a row\)\n.*finished is kept"),
        (cut(0), r"cut [\d,]+ bytes too early \(4 attempt\(s\) in a row\)\n.*check the connection"),
        (wrong_length(5), r"announced [\d,]+ bytes where [\d,]+ were asked for \(4 attempt"),
        (replaced, r"was replaced by another file while it was being read\n.*start again"),
    ],
)
def test_faults_that_stay(
    tiny_url: str,
    server: RangeServer,
    prepare: Callable[..., Preparation],
    expected: dict[str, bytes],
    fault: Fault,
    pattern: str,
) -> None:
    """The run stops with advice; what was finished stays, and the next run goes on."""
    made = prepare(tiny_url, prepare_threads=1)
    server.faults = [lambda answer: None, *[fault] * 4]
    with pytest.raises(ReleaseError, match=pattern):
        made.prepare()
    assert made.status().finished == 1
    server.faults = []
    before = len(server.requests)
    made.prepare()
    assert pcm(made) == expected
    assert sum(count > 70_000 for _, _, count in server.requests[before:]) == 4


def test_a_stall_passes_or_is_named(
    tiny_url: str, server: RangeServer, prepare: Callable[..., Preparation], expected: dict[str, bytes]
) -> None:
    """A server that is silent for a while is asked again; after the last attempt, the run says so."""
    made = prepare(tiny_url, transfer=IMPATIENT)
    server.always = [stall(0, 1.0)]
    with pytest.raises(ReleaseError, match=r"nothing arrived for 0\.4 s \(4 attempt"):
        made.prepare()
    server.always, server.faults = [], [stall(100_000, 1.0)]
    made.prepare()
    assert server.faults == []
    assert pcm(made) == expected


def test_bytes_that_are_always_wrong(
    tiny_url: str, server: RangeServer, prepare: Callable[..., Preparation], expected: dict[str, bytes]
) -> None:
    """Fetched three times, then named; and skipped if that is tolerated."""
    made = prepare(tiny_url, prepare_threads=1)
    server.faults = [flip(200_000)] * 3
    with pytest.raises(AudioError, match=r"2014/c\.wav: CRC-32 is [0-9a-f]{8}, [0-9a-f]{8} is announced"):
        made.prepare()
    assert made.status().finished == 4
    server.faults = [flip(200_000)] * 3
    tolerant = prepare(tiny_url, prepare_threads=1, max_bad_performances=1)
    with pytest.warns(UserWarning, match=r"1 recording\(s\) cannot be used and are skipped:\n.*c\.wav"):
        tolerant.prepare()
    assert len(tolerant.open()[1]) == 4
    assert pcm(tolerant) == {name: raw for name, raw in expected.items() if name != "2014/c.wav.pcm"}


def test_a_server_without_ranges(tiny_url: str, web: Path, prepare: Callable[..., Preparation]) -> None:
    pattern = r"does not support range requests \(it answered 200\)\n.*zip file"
    with serve(web, ranges=False) as plain:
        with pytest.raises(ReleaseError, match=pattern):
            prepare(f"{plain.url}/maestro-v3.0.0.zip").prepare()
        assert plain.moved < 5_000_000


def test_a_server_that_is_not_there(prepare: Callable[..., Preparation]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ReleaseError, match=r"Connection refused.* \(3 attempt\(s\) in a row\)\n"):
        prepare(f"http://127.0.0.1:{port}/maestro-v3.0.0.zip").prepare()


def test_a_truncated_archive(tiny_url: str, web: Path, prepare: Callable[..., Preparation]) -> None:
    raw = (web / "maestro-v3.0.0.zip").read_bytes()
    (web / "maestro-v3.0.0.zip").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ReleaseError, match=r"is no complete zip archive .*\n.*cut off"):
        prepare(tiny_url).prepare()


def test_an_archive_that_was_replaced_between_runs(
    tiny_url: str,
    tiny_release: Path,
    web: Path,
    recording: Callable,
    pack: Callable[..., Path],
    prepare: Callable[..., Preparation],
) -> None:
    """What is remembered of the old one is forgotten before anything is fetched."""
    prepare(tiny_url, splits=["test"]).prepare()
    recording("a", seconds=2.5).write(tiny_release)
    pack(tiny_release, web / "maestro-v3.0.0.zip")
    made = prepare(tiny_url)
    made.prepare()
    fresh = prepare(tiny_release, "fresh")
    fresh.prepare()
    assert pcm(made) == pcm(fresh)


def test_rows_that_the_archive_lacks(
    tiny_url: str, tiny_release: Path, web: Path, server: RangeServer, prepare: Callable[..., Preparation]
) -> None:
    """Noticed before the first recording is fetched."""
    table = (tiny_release / "maestro-v3.0.0.csv").read_text()
    (web / "maestro-v3.0.0.csv").write_text(table.replace("2009/a.wav", "2009/z.wav"))
    with pytest.raises(AudioError, match=r"1 recording\(s\) cannot be used .*\n.*2009/z\.wav: no such file"):
        prepare(tiny_url).prepare()
    assert not any(count > 70_000 for _, _, count in server.requests)
    made = prepare(tiny_url, max_bad_performances=1)
    with pytest.warns(UserWarning, match=r"z\.wav: no such file"):
        made.prepare()
    assert made.status().finished == 4


def test_a_recording_far_longer_than_its_row(
    tiny_url: str, tiny_release: Path, web: Path, prepare: Callable[..., Preparation], recording: Callable
) -> None:
    """A bomb whose directory tells the truth: stopped soon after the length that the table gives."""
    recording("a", seconds=40.0).write(tiny_release)
    with zipfile.ZipFile(web / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(tiny_release.rglob("*.*")):
            archive.write(path, path.relative_to(tiny_release))
    with pytest.raises(AudioError, match=r"a\.wav: lasts more than \d\.\d s, but the catalogue says 2\.0 s"):
        prepare(web / "bomb.zip").prepare()


def test_the_table_comes_from_beside_the_archive(
    tiny_url: str, web: Path, server: RangeServer, prepare: Callable[..., Preparation]
) -> None:
    """Else from inside it."""
    assert prepare(tiny_url).status().wanted == 5
    assert [path for path, _, _ in server.requests] == ["/maestro-v3.0.0.csv", *["/maestro-v3.0.0.zip"] * 2]
    (web / "maestro-v3.0.0.csv").unlink()
    assert prepare(tiny_url, "other").status().wanted == 5


def test_recordings_are_kept_if_asked(
    tiny_url: str, tiny_release: Path, prepare: Callable[..., Preparation], tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    prepare(tiny_url, "plain").prepare()
    assert not list((tmp_path / "plain").rglob("*.wav"))
    made = prepare(tiny_url, "kept", keep_recordings=True)
    made.prepare()
    kept = tmp_path / "kept/recordings/maestro-v3.0.0"
    for path in tiny_release.rglob("*.wav"):
        assert (kept / path.relative_to(tiny_release)).read_bytes() == path.read_bytes()
    again = prepare(kept, "again")
    again.prepare()
    assert pcm(again) == pcm(made)
    # a cache from the archive serves the folder too
    assert prepare(kept, "kept").status().finished == 5


def test_no_source_means_the_official_server(
    tiny_url: str, prepare: Callable[..., Preparation], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = dataclasses.replace(find_release("v3.0.0"), url=tiny_url, archive_bytes=None)
    monkeypatch.setattr(preparation, "find_release", lambda name: release)
    made = prepare(None, splits=["test"])
    made.prepare()
    assert made.status().finished == 1
    wrong = dataclasses.replace(release, archive_bytes=108_445_099_632)
    monkeypatch.setattr(preparation, "find_release", lambda name: wrong)
    with pytest.raises(ReleaseError, match=r"has [\d,]+ bytes, the official archive 108,445,099,632\n.*copy"):
        prepare(None).prepare()


def test_too_little_disk_space_for_recordings_that_are_kept(
    tiny_url: str, prepare: Callable[..., Preparation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enough for the cache of 0.4 MB, not for the 2.6 MB of recordings; nothing is fetched."""
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("datamodules.cache.progress.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(CacheError, match=r"but the disk has 0\.00 GB free\n.*max_hours"):
        prepare(tiny_url, keep_recordings=True).prepare()
    prepare(tiny_url).prepare()


def test_the_plan_comes_first(
    tiny_url: str, prepare: Callable[..., Preparation], capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tiny_url, progress=True).prepare()
    text = capsys.readouterr().err
    assert text.startswith("Caching 5 performance(s), 0.00 h, at 16000 Hz: 0.00 GB to fetch, 0.00 GB in ")
    assert "about 0.1 min at 100 Mbit/s with 4 thread(s)" in text
