"""The plan of a preparation and its progress bar."""

from pathlib import Path

import pytest

from datamodules.archive.folder import FolderArchive
from datamodules.cache.pcm import CacheSpec
from datamodules.cache.progress import Plan, gigabytes, make_plan, progress_bar, say
from datamodules.errors import CacheError
from datamodules.release.catalogue import read_catalogue
from datamodules.releases import find_release

V3 = find_release("v3.0.0")
SPEC = CacheSpec("v3.0.0", 16_000, 1, "catalogue")


def test_the_plan_of_a_folder(tiny_release: Path, tmp_path: Path) -> None:
    archive = FolderArchive(tiny_release)
    performances = read_catalogue(archive, V3)
    plan = make_plan(archive, SPEC, tmp_path, performances, keep=False, threads=2, cores=1)
    assert (plan.performances, plan.seconds, plan.fetch_bytes, plan.keep_bytes) == (5, 14.0, 0, 0)
    assert plan.cache_bytes == plan.disk_bytes == 14 * 16_000 * 2
    assert "Caching 5 performance(s), 0.00 h, at 16000 Hz" in plan.describe(SPEC, tmp_path)
    kept = make_plan(archive, SPEC, tmp_path, performances, keep=True, threads=2, cores=1)
    assert kept.keep_bytes == sum(archive.size(p.audio) for p in performances) > 0


def test_the_slower_of_computing_and_fetching_counts() -> None:
    common = {"performances": 1, "cache_bytes": 1, "keep_bytes": 0, "free_bytes": 1, "threads": 4, "cores": 2}
    assert Plan(seconds=48_000, fetch_bytes=0, **common).minutes == pytest.approx(1.0)
    assert Plan(seconds=48_000, fetch_bytes=int(12.5e6 * 120), **common).minutes == pytest.approx(2.0)


def test_what_cannot_fit_is_not_begun(tmp_path: Path) -> None:
    plan = Plan(1, 1.0, 0, 2_000_000_000, 0, 1_000_000_000, 1, 1)
    with pytest.raises(CacheError, match=r"needs 2\.00 GB, but the disk has 1\.00 GB free\n.*`max_hours`"):
        plan.check_disk(tmp_path)


def test_the_bar_shows_bytes_of_downloads(capfd: pytest.CaptureFixture[str]) -> None:
    plan = Plan(1, 3600.0, 2_000_000_000, 1, 0, 10, 1, 1)
    received = iter([0, 10**9, 10**9, 10**9])
    with progress_bar(plan, lambda: next(received, 10**9), visible=True) as advance:
        advance(1800.0)
    shown = capfd.readouterr()
    assert shown.out == "" and "Caching" in shown.err and "50%" in shown.err
    with progress_bar(plan, lambda: 0, visible=False) as advance:
        advance(1.0)
    say("hidden", visible=False)
    assert capfd.readouterr().err == ""


def test_gigabytes() -> None:
    assert gigabytes(1.5e9) == "1.50 GB"


def test_names_that_look_like_markup_are_said_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    say("in /data/[bold]/[/red] :smile:", True)
    assert capfd.readouterr().err == "in /data/[bold]/[/red] :smile:\n"
