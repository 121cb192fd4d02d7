import pytest

from lightning_modules.reports.curves import Curve, curves_figure, read_curves


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss,val/loss\n0,9,2.5,\n0,9,,3.5\n1,19,1.25,\n")
    return path


def test_rows_without_a_value_are_left_out_and_steps_count_from_one(table):
    curves = read_curves(table, ["train/loss", "val/loss"])
    assert curves == {"train/loss": ([10, 20], [2.5, 1.25]), "val/loss": ([10], [3.5])}


def test_a_column_that_is_not_there_is_named(table):
    with pytest.raises(ValueError, match=r"has no column \['val/accuracy'\]; it has \['epoch'"):
        read_curves(table, ["val/accuracy", "train/loss"])


def test_each_panel_shows_its_lines_on_its_scale():
    one, two = Curve([10, 20], [4.0, 2.0]), Curve([10], [3.0])
    figure = curves_figure({"loss": {"train": one, "val": two}, "accuracy": {"val": two}}, ["loss"])
    first, second = figure.axes
    assert [line.get_xydata().tolist() for line in first.lines] == [[[10, 4], [20, 2]], [[10, 3]]]
    assert first.get_yscale() == "log" and second.get_yscale() == "linear"
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["train", "val"]
    assert second.get_legend() is None
