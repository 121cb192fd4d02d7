"""Curves and charts, against places worked out by hand."""

from pathlib import Path

import pytest

from lightning_modules.reports.curves import (
    HEIGHT,
    MAX_POINTS,
    WIDTH,
    Curve,
    ValueAxis,
    figure,
    make_charts,
    read_curves,
    shown,
    step_ticks,
)


def write(run: Path, version: int, text: str) -> None:
    folder = run / "metrics" / f"version_{version}"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(text)


def test_a_continued_run_is_one_curve_and_its_later_part_counts(tmp_path: Path):
    write(tmp_path, 10, "epoch,step,val/loss\n0,20,1.5\n0,30,1.0\n")
    write(tmp_path, 2, "step,train/loss,val/loss\n10,4.0,3.0\n20,,2.0\n25,inf,nan\n30,x,9.0\n")
    assert read_curves(tmp_path) == {
        "train/loss": Curve([10], [4.0]),
        "val/loss": Curve([10, 20, 30], [3.0, 1.5, 1.0]),
    }


def test_no_metrics_no_curves(tmp_path: Path):
    assert read_curves(tmp_path) == {}
    write(tmp_path, 0, "")
    assert read_curves(tmp_path) == {}


def test_training_and_validation_share_a_chart_and_lone_points_make_none():
    run = {
        "train/loss": Curve([0, 100], [1.0, 3.0]),
        "val/loss": Curve([50], [2.0]),
        "val/once": Curve([50], [2.0]),
        "perf/speed": Curve([0, 100], [1.0, 2.0]),
    }
    (chart,) = make_charts([run], ["a"])
    assert (chart.name, chart.is_validated, chart.first_step, chart.last_step) == ("loss", True, 0, 100)
    train, val = chart.lines
    # 6% of the range 1 to 3 above and below: 1 lies at 0.12 / 2.24 from the bottom
    top, bottom = HEIGHT * 0.12 / 2.24, HEIGHT * (1 - 0.12 / 2.24)
    assert train.path == f"M0.0 {bottom:.1f}L{WIDTH:.1f} {top:.1f}"
    assert val.path == f"M{WIDTH / 2:.1f} {HEIGHT / 2:.1f}L{WIDTH / 2:.1f} {HEIGHT / 2:.1f}"
    assert [tick.text for tick in chart.y_ticks] == ["1", "1.5", "2", "2.5", "3"]
    assert [tick.place for tick in chart.x_ticks] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_curves_of_several_runs_come_together_in_their_colours():
    runs = [{"val/loss": Curve([0, 10], [1.0, 2.0])}, {}, {"val/loss": Curve([0, 30], [1.0, 2.0])}]
    (chart,) = make_charts(runs, ["a", "b", "c"])
    assert [(line.run, line.points.steps) for line in chart.lines] == [(0, [0, 10]), (2, [0, 30])]
    assert chart.lines[0].path.endswith(f"L{WIDTH / 3:.1f} {HEIGHT * 0.06 / 1.12:.1f}")


def test_long_curves_are_thinned_to_means():
    steps = list(range(0, 4 * MAX_POINTS))
    (chart,) = make_charts([{"train/x": Curve(steps, [float(step) for step in steps])}], ["a"])
    points = chart.lines[0].points
    assert (points.steps[:2], points.values[:2]) == ([3, 7], [1.5, 5.5])
    assert len(points.steps) == MAX_POINTS


def test_wide_ranges_of_positive_values_are_logarithmic():
    axis = ValueAxis.of([1.0, 10.0, 100.0])
    assert axis.is_log
    assert axis.place(10.0) == pytest.approx(0.5)
    assert [tick.text for tick in axis.ticks()] == ["1", "10", "100"]
    assert not ValueAxis.of([-1.0, 100.0]).is_log
    assert not ValueAxis.of([10.0, 100.0]).is_log


def test_a_narrow_logarithmic_axis_has_ticks_within_the_decade():
    axis = ValueAxis(1.0, 40.0, is_log=True)
    assert [tick.text for tick in axis.ticks()] == ["1", "2", "5", "10", "20"]


@pytest.mark.parametrize(
    ("first", "last", "expected"), [(0, 3, [0, 1, 2, 3]), (9, 29, [10, 15, 20, 25]), (0, 1, [0, 1])]
)
def test_ticks_of_steps_are_whole_numbers(first: int, last: int, expected: list[int]):
    assert step_ticks(first, last) == expected


def test_a_rare_outlier_does_not_flatten_the_rest():
    axis = ValueAxis.of([*[1.0 + index / 100 for index in range(200)], 1000.0])
    assert axis.high < 4
    assert axis.place(1000.0) == 1.1


def test_a_constant_is_a_line_in_the_middle():
    assert ValueAxis.of([5.0, 5.0]).place(5.0) == pytest.approx(0.5)
    assert ValueAxis.of([0.0]).place(0.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "at_axis", "in_table"),
    [
        (0.8, "0.8", "0.800"),
        (-4.256, "−4.26", "−4.26"),
        (0.0, "0", "0"),
        (999.7, "1,000", "1,000"),
        (43912.3, "43.9k", "43,912"),
        (9995.0, "9.99k", "9,995"),
        (2e6, "2M", "2,000,000"),
        (0.00012, "1.2e−04", "1.2e−04"),
    ],
)
def test_numbers_for_people(value: float, at_axis: str, in_table: str):
    assert (shown(value), figure(value)) == (at_axis, in_table)


def test_no_number_is_a_dash():
    assert figure(None) == "–"
