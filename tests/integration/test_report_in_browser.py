"""The listening report in a real browser: chromium without a window, from a file, without network."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_results import write_tested_run

from lightning_modules.reports.html import write_report
from lightning_modules.reports.results import read_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip(
    "playwright.sync_api", reason='the browser is driven by playwright: pip install -e ".[test]"'
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt install chromium")

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
CUT_OFF = """[...document.querySelectorAll("body *")].filter(each => {
    const style = getComputedStyle(each), text = each.innerText || "";
    return text.trim() && each.clientWidth && each.scrollWidth > each.clientWidth + 1
        && (["hidden", "clip"].includes(style.overflowX) || style.textOverflow === "ellipsis");
}).map(each => each.className + ": " + each.innerText)"""
"""Elements with text of which a part can neither be seen nor scrolled to."""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--mute-audio"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of one run and a page of three."""
    folder = tmp_path_factory.mktemp("reports")
    title = 'A title <script>document.title = "taken"</script> with HTML in it'
    names = ("a_rather_long_experiment_name/20261123-020113-7f3a", "toy/two", "toy/three")
    runs = [
        write_tested_run(folder / name, titles=(title, "Fugue"), seconds=3.0, health=[]) for name in names
    ]
    results = [read_results(run) for run in runs]
    write_report(folder / "one.html", results[:1])
    write_report(folder / "three.html", results)
    return {"one": folder / "one.html", "three": folder / "three.html"}


class Visit:
    """An open page, and what it did that it should not: messages on the console, requests."""

    def __init__(self, browser, path: Path, viewport: dict[str, int], **options) -> None:
        self.page = browser.new_context(viewport=viewport, **options).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.address = path.as_uri()

    def foreign_requests(self) -> list[str]:
        return [
            url for url in self.requests if url != self.address and not url.startswith(("data:", "blob:"))
        ]

    def start_blind_test(self, seed: int, kind: str = "all") -> None:
        self.page.locator("[data-open-blind]").click()
        self.page.locator("select[name=kind]").select_option(kind)
        self.page.locator("input[name=seed]").fill(str(seed))
        self.page.locator("form button[type=submit]").click()


def until(page, condition: str) -> None:
    """Wait; playwright's own way evaluates text within the page, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {condition}")


@pytest.fixture
def visit(browser, reports):
    visits: list[Visit] = []

    def open_page(name: str, viewport: dict[str, int] = DESKTOP, **options) -> Visit:
        visits.append(Visit(browser, reports[name], viewport, **options))
        return visits[-1]

    yield open_page
    for one in visits:
        assert one.complaints == []
        assert one.foreign_requests() == []
        one.page.context.close()


@pytest.mark.parametrize("name", ["one", "three"])
def test_it_opens_from_disk_and_every_player_has_sound(visit, name: str):
    page = visit(name).page
    assert page.evaluate("location.protocol") == "file:"
    until(page, "[...document.querySelectorAll('audio')].every(audio => audio.readyState >= 1)")
    durations = page.evaluate("[...document.querySelectorAll('audio')].map(audio => audio.duration)")
    assert sorted(set(durations)) == [0.5, 3.0]
    sizes = page.evaluate("[...document.querySelectorAll('img')].map(image => image.naturalHeight)")
    assert set(sizes) == {128}
    assert "taken" not in page.title()


def test_a_player_plays_and_another_of_its_clip_goes_on_at_the_same_place(visit):
    page = visit("one").page
    first, second = (page.locator("#c0 .play").nth(number) for number in (0, 1))
    first.click()
    until(page, "document.querySelectorAll('#c0 audio')[0].currentTime > 0.3")
    second.click()
    until(page, "!document.querySelectorAll('#c0 audio')[1].paused")
    assert page.evaluate("document.querySelectorAll('#c0 audio')[0].paused")
    assert page.evaluate("document.querySelectorAll('#c0 audio')[1].currentTime") >= 0.3
    assert second.get_attribute("aria-label").startswith("Pause ")
    page.locator("#c0 [role=slider]").nth(1).press("End")
    until(page, "document.querySelectorAll('#c0 audio')[1].ended")
    until(page, "document.querySelectorAll('#c0 .play')[1].ariaLabel.startsWith('Play ')")
    assert page.locator("#c0 [data-clock]").nth(1).inner_text() == "0:03 / 0:03"


def test_pictures_are_sliders_for_pointer_and_keyboard(visit):
    page = visit("one").page
    picture = page.locator("#c0 .picture[role=slider]").first
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] / 2, "y": 10})
    assert page.evaluate("document.querySelector('#c0 audio').currentTime") == pytest.approx(1.5, abs=0.02)
    assert picture.get_attribute("aria-valuenow") == "1.5"
    picture.press("Home")
    assert page.evaluate("document.querySelector('#c0 audio').currentTime") == 0


@pytest.mark.parametrize("name", ["one", "three"])
def test_a_phone_shows_it_without_scrolling_sideways(visit, name: str):
    page = visit(name, PHONE, is_mobile=True, has_touch=True).page
    for summary in page.locator("summary").all():
        summary.click()
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == PHONE["width"]
    assert page.evaluate(CUT_OFF) == []
    page.locator("[data-open-blind]").tap()
    assert page.evaluate(width) == PHONE["width"]
    page.locator("form button[type=submit]").tap()
    assert page.evaluate(width) == PHONE["width"]
    page.locator("[data-finish]").tap()
    assert page.evaluate(width) == PHONE["width"]


def test_colours_follow_the_system_and_the_switch(visit):
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = (visit("one", color_scheme=scheme).page for scheme in ("light", "dark"))
    colours = light.evaluate(paper), dark.evaluate(paper)
    assert colours[0] != colours[1]
    light.locator("[data-theme-button]").click()
    assert light.evaluate(paper) == colours[1]


def test_everything_that_can_be_operated_has_a_name(visit):
    page = visit("three").page
    nameless = """[...document.querySelectorAll('button, a, input, [role=slider], img, [role=img]')].filter(
        element => !(element.getAttribute('aria-label') || element.alt || element.textContent.trim()))"""
    assert page.evaluate(f"{nameless}.length") == 0


def test_the_blind_test_leaves_no_trace_of_what_is_what(visit):
    page = visit("three").page
    page.locator("[data-open-blind]").click()
    hidden = (
        "original",
        "reconstruction of",
        "toy/",
        "two",
        "three",
        "a_rather_long",
        "A title",
        "Fugue",
        "run-",
    )

    def leaks() -> list[str]:
        everything = page.evaluate("document.documentElement.outerHTML") + page.title()
        visible = re.sub(r"<(style|script)\b.*?</\1>", "", everything, flags=re.DOTALL)
        return [word for word in hidden if word in visible]

    assert leaks() == []
    page.locator("select[name=kind]").select_option("all")
    page.locator("form button[type=submit]").click()
    for _ in range(2):
        page.keyboard.press("a")
        page.keyboard.press("0")
        assert leaks() == []
        assert "data:" not in page.locator("main").inner_html()
        page.keyboard.press("n")
    page.locator("[data-finish]").click()
    page.locator("[data-leave]").click()
    assert "two" in page.locator("main").inner_text()
    assert page.evaluate("document.querySelectorAll('audio').length") == 11


def test_answers_are_saved_with_what_was_hidden(visit, tmp_path: Path):
    page_visit = visit("one")
    page = page_visit.page
    page_visit.start_blind_test(seed=7)
    assert page.locator("[data-progress-text]").inner_text() == "Trial 1 of 3"
    assert page.locator("[data-next]").is_disabled()
    for key in ("b", "a", "4", "p", "n"):  # hears both, rates A with 4 and chooses it
        page.keyboard.press(key)
    page.locator(".stimulus").nth(1).locator(".choose").click()  # by mouse: B
    page.locator("[data-next]").click()
    page.keyboard.press("0")  # cannot tell
    page.keyboard.press("n")
    with page.expect_download() as download:
        page.locator("[data-save]").click()
    download.value.save_as(tmp_path / "answers.json")
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert re.fullmatch(r"blind-test-[0-9a-f]{12}-7\.json", download.value.suggested_filename)
    assert answers.keys() == {"format", "report", "session", "question", "equal_loudness", "trials"}
    assert (answers["format"], answers["session"], answers["equal_loudness"]) == (1, 7, True)
    assert answers["question"] == "Which sounds most like a real piano?"
    first, second, third = answers["trials"]
    assert (first["choice"], first["ratings"], first["plays"]) == ("A", {"A": 4}, {"A": 1, "B": 1})
    assert (second["choice"], second["ratings"]) == ("B", {})
    assert (third["choice"], third["chosen"]) == (None, None)
    made = {"reconstructions": "reconstruction", "samples": "sample"}
    for trial in answers["trials"]:
        assert set(trial["order"].values()) == {"original", made[trial["kind"]]}
    assert first["chosen"] == first["order"]["A"]
    assert second["chosen"] == second["order"]["B"]
    table = page.locator("tbody").inner_text()
    assert sum(int(count) for count in re.findall(r"(\d+) of \d", table)) == 2


def orders(visit, seed: int) -> list[dict]:
    """Trials and letters of a session in which everything is answered by "cannot tell"."""
    page_visit = visit("three")
    page_visit.start_blind_test(seed)
    while page_visit.page.locator("[data-next]").count():
        page_visit.page.keyboard.press("0")
        page_visit.page.keyboard.press("n")
    with page_visit.page.expect_download() as download:
        page_visit.page.locator("[data-save]").click()
    trials = json.loads(Path(download.value.path()).read_text())["trials"]
    return [{"clip": trial["clip"], "order": trial["order"]} for trial in trials]


def test_a_session_is_repeated_by_its_number_and_differs_from_others(visit):
    first = orders(visit, 1)
    assert [len(trial["order"]) for trial in first] == [4, 4, 4]
    assert orders(visit, 1) == first
    assert [orders(visit, seed) for seed in (2, 3)] != [first, first]


def test_a_trial_gives_nothing_away_by_length_or_loudness(visit):
    """A sample of 0.5 s against a clip of 3 s; a reconstruction 6 dB below its original."""
    page_visit = visit("one")
    page = page_visit.page
    page_visit.start_blind_test(seed=1, kind="samples")
    assert page.evaluate("blind.sounds.map(sound => sound.seconds)") == [0.5, 0.5]
    starts = sorted(page.evaluate("blind.sounds.map(sound => sound.start)"))
    assert starts == [0.0, 1.25]
    page.keyboard.press("a")
    page.keyboard.press("b")
    until(page, "blind.sounds[1].audio.currentTime > blind.sounds[1].start + 0.2")
    until(page, "blind.sounds[1].audio.paused")
    assert page.evaluate("blind.sounds[1].audio.currentTime - blind.sounds[1].start") == pytest.approx(
        0, abs=0.01
    )
    page.locator("[data-finish]").click()
    page.locator("[data-again]").click()
    page.locator("select[name=kind]").select_option("reconstructions")
    page.locator("form button[type=submit]").click()
    volumes = page.evaluate("blind.sounds.map(sound => sound.audio.volume)")
    assert sorted(volumes) == pytest.approx([0.5, 1.0], abs=0.01)
