"""The page: self-contained, and everything in it escaped."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy_results import score, write_tested_run

from datamodules import files as whole_file
from lightning_modules.errors import ReportError
from lightning_modules.reports.html import render_report, write_report
from lightning_modules.reports.listening_set import FOLDER, read_audio
from lightning_modules.reports.results import read_results

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>\" onload=\"alert(2)"


class Elements(HTMLParser):
    """Collects tags, attributes and text as a browser would."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text.append(data)


def test_every_address_is_inside_the_page(tmp_path: Path):
    page = Elements(render_report([read_results(write_tested_run(tmp_path / "toy" / "one"))]))
    addresses = [value for _, name, value in page.attributes if name in ("src", "href", "action", "srcset")]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert page.tags.count("audio") == 5
    assert page.tags.count("script") == 2  # the page's own, and the data of the blind test


def test_html_in_names_titles_and_configs_is_text(tmp_path: Path):
    one = write_tested_run(
        tmp_path / "toy" / "<b>one",
        titles=(EVIL,),
        config=f"evil: |\n  {EVIL}\n",
        scores=(score(EVIL, "samples", 1.0),),
        health=[{"step": 1, "problem": EVIL, "message": EVIL, "advice": EVIL}],
        checkpoint=EVIL.replace("/", "_"),
        data={"release": EVIL, EVIL: EVIL},
    )
    metrics = one.parent / "metrics" / "version_0" / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("val/loss", "val/<script>alert(1)"))
    two = write_tested_run(tmp_path / "toy" / "two", config="a: 1")
    for runs in ([one], [one, two]):
        page = Elements(render_report([read_results(run) for run in runs]))
        assert page.tags.count("script") == 2
        assert "b" not in page.tags
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]
        assert all(
            value.startswith("data:") for tag, name, value in page.attributes if (tag, name) == ("img", "src")
        )
        text = "".join(page.text)
        assert EVIL in text
        assert "toy/<b>one" in text


def test_the_policy_allows_the_pages_own_script_alone(tmp_path: Path):
    page = render_report([read_results(write_tested_run(tmp_path / "toy" / "one"))])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{allowed}'" in policy


def test_what_a_page_of_one_run_says(tmp_path: Path):
    text = " ".join(
        " ".join(
            Elements(render_report([read_results(write_tested_run(tmp_path / "toy" / "one"))])).text
        ).split()
    )
    for words in (
        "toy/one",
        "Prelude",
        "Log-mel distance dB",
        "4.20 4.00 to 4.40",
        "0.500",
        "latent_size: 32",
    ):
        assert words in text
    assert "No health record was kept" in text


def test_a_page_of_several_runs_shows_what_differs_and_marks_what_is_close(tmp_path: Path):
    one = write_tested_run(tmp_path / "toy" / "one", health=[])
    two = write_tested_run(
        tmp_path / "toy" / "two",
        config="experiment: toy\nmodel: {class_path: toy.Model, init_args: {latent_size: 8}}",
        scores=(score("log_mel_distance", "reconstructions", 4.3, 4.1, 4.5),),
    )
    text = " ".join(" ".join(Elements(render_report([read_results(one), read_results(two)])).text).split())
    assert "model.init_args.latent_size 32 8" in text
    assert "4.20 4.00 to 4.40 close 4.30 4.10 to 4.50 close" in text
    assert "toy/one : The health checks found nothing wrong" in text.replace("toy/one:", "toy/one :")


def test_bare_runs_have_pages_too(tmp_path: Path):
    root = write_tested_run(tmp_path / "toy" / "one", num_clips=0, num_samples=0, scores=())
    (root.parent / "metrics" / "version_0" / "metrics.csv").unlink()
    text = "".join(Elements(render_report([read_results(root)])).text)
    for words in ("wrote nothing to listen to", "Nothing was scored", "No training curves"):
        assert words in text
    with pytest.raises(ValueError, match="runs is empty"):
        render_report([])


def test_a_page_of_the_usual_length_stays_small(tmp_path: Path):
    """Less than 1.6 times 16-bit samples, pictures and all: 10 MB for six clips of 16 s at 16 kHz, twice.

    Of something as hard to compress as loud music.
    """
    root = write_tested_run(tmp_path / "toy" / "one", num_clips=2, num_samples=0, seconds=16.0)
    noise = np.random.default_rng(0).normal(0, 0.02, size=16 * 8000).astype(np.float32)
    for path in (root / FOLDER).glob("clip*.wav"):
        soundfile.write(path, read_audio(root, path.name)[0] + noise, 16_000, subtype="PCM_16")
    write_report(tmp_path / "report.html", [read_results(root)])
    size = (tmp_path / "report.html").stat().st_size
    raw = 4 * 16 * 8000 * 2
    assert size < 1.6 * raw


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    results = read_results(write_tested_run(tmp_path / "toy" / "one"))
    page = tmp_path / "report.html"
    page.write_text("old")
    monkeypatch.setattr(whole_file.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_report(page, [results])
    assert page.read_text() == "old"
    assert not list(tmp_path.glob(".*"))


def test_a_page_that_cannot_be_written(tmp_path: Path):
    results = read_results(write_tested_run(tmp_path / "toy" / "one"))
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match=r"page\.html cannot be written"):
        write_report(tmp_path / "file" / "page.html", [results])
