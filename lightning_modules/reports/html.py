"""The listening report: one HTML file that needs neither network nor other files.

The page's parts lie in `reports/page`. Every text that comes from a run is escaped by the template engine,
and the page's own security policy lets no script but its own run and nothing be fetched.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.files import whole_file
from lightning_modules.errors import ReportError
from lightning_modules.reports.cards import Listening, make_listening
from lightning_modules.reports.curves import HEIGHT, WIDTH, figure, make_charts, shown
from lightning_modules.reports.results import RunResults
from lightning_modules.reports.tables import LEAST_STEPS, config_differences, headlines, score_rows
from lightning_modules.reports.tracks import DYNAMIC_RANGE_DB

if TYPE_CHECKING:
    from markupsafe import Markup

REPORT_NAME = "report.html"
SCRIPTS = ("player.js", "blind.js", "charts.js")
MAIN_CHARTS = 6
"""Charts that are shown at once; the others unfold."""


def write_report(path: Path, runs: Sequence[RunResults]) -> None:
    """Write the report of one run, or of several side by side; a kill leaves it whole or absent.

    Raises:
        ReportError: If `path` cannot be written, or an audio file cannot be read.
    """
    page = render_report(runs)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path} cannot be written ({error.strerror})", "give another file") from error


def render_report(runs: Sequence[RunResults]) -> str:
    """HTML of the report of one run, or of several side by side.

    Raises:
        ReportError: If an audio file cannot be read.
        ValueError: If there is no run.
    """
    # a third of a second that only reports need
    import jinja2

    if not runs:
        raise ValueError("runs is empty; give at least one")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_page_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "figure": figure, "breakable": _breakable}
    listening = make_listening(runs)
    labels = [run.label for run in runs]
    rows = score_rows(runs)
    charts = make_charts([run.curves for run in runs], labels)
    script = "\n".join(_page_file(name) for name in SCRIPTS)
    return environment.get_template("report.html").render(
        runs=runs,
        listening=listening,
        score_rows=rows,
        headlines=headlines(rows),
        main_charts=charts[:MAIN_CHARTS],
        more_charts=charts[MAIN_CHARTS:],
        differences=config_differences([run.config for run in runs]),
        chart_size=(WIDTH, HEIGHT),
        dynamic_range_db=DYNAMIC_RANGE_DB,
        least_steps=LEAST_STEPS,
        style=_page_file("report.css"),
        script=script,
        # the page may run this very script, and none that some text smuggles in
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        blind_test=_blind_test(listening, labels),
    )


def _breakable(label: str) -> "Markup":
    """A run's name that lines may break after a slash or hyphen of."""
    from markupsafe import Markup, escape

    escaped = str(escape(label)).replace("/", "/<wbr>").replace("-", "-<wbr>")
    return Markup(escaped)


def _blind_test(listening: Listening, labels: Sequence[str]) -> dict[str, object]:
    """The data of the blind test, for the page's script."""
    return {
        "report": _report_id(listening, labels),
        "trials": [
            {**trial._asdict(), "stimuli": [stimulus._asdict() for stimulus in trial.stimuli]}
            for trial in listening.trials
        ],
    }


def _report_id(listening: Listening, labels: Sequence[str]) -> str:
    """The same for the same sounds of the same runs: tells to which report answers belong."""
    digest = hashlib.sha256("\n".join(labels).encode())
    for card in (*listening.clips, *listening.samples, *listening.pieces):
        for track in card.tracks:
            digest.update(track.audio.encode())
    return digest.hexdigest()[:12]


@cache
def _page_file(name: str) -> str:
    return (resources.files("lightning_modules.reports") / "page" / name).read_text(encoding="utf-8")
