from lightning_modules.reports.curves_figure import curves_figure


def test_each_panel_shows_its_curve_on_its_scale():
    figure = curves_figure({"loss": ([10, 20], [4.0, 2.0]), "accuracy": ([10], [0.5])}, ["loss"])
    first, second = figure.axes
    assert [line.get_xydata().tolist() for line in first.lines] == [[[10, 4], [20, 2]]]
    assert [line.get_xydata().tolist() for line in second.lines] == [[[10, 0.5]]]
    assert [panel.get_yscale() for panel in figure.axes] == ["log", "linear"]
    assert [panel.get_title("left") for panel in figure.axes] == ["loss", "accuracy"]
