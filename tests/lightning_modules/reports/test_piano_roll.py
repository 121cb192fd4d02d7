"""Pictures of notes: every note is a bar at its place, in the row of its minute."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lightning_modules.audio.notes import HeardNotes
from lightning_modules.reports.piano_roll import PianoRoll, piano_roll_figure

NOTES = HeardNotes.from_rows([(1.0, 60, 2.0, 20), (58.0, 64, 63.0, 100), (100.0, 72, 101.0, 127)])


def test_bars_by_hand():
    figure = piano_roll_figure(NOTES, 150.0, np.array([[0.5, 3.0]]), "a title")
    *rows, _ = figure.axes
    assert [axes.get_xlim() for axes in rows] == [(0.0, 60.0), (60.0, 120.0), (120.0, 180.0)]
    assert rows[0].get_title(loc="left") == "a title"
    pedal, bars = rows[0].collections
    first, second, _ = (path.vertices[:4] for path in bars.get_paths())
    assert first.tolist() == [[1.0, 59.575], [2.0, 59.575], [2.0, 60.425], [1.0, 60.425]]
    assert second[:, 0].min() == 58.0 and second[:, 0].max() == 63.0
    assert bars.get_array().tolist() == [20.0, 100.0, 127.0] and bars.get_clim() == (1, 127)
    (press,) = (path.vertices[:4] for path in pedal.get_paths())
    assert (press[:, 0].min(), press[:, 0].max()) == (0.5, 3.0) and press[:, 1].max() < 21


def test_colours_are_where_notes_are_and_nowhere_else():
    figure = piano_roll_figure(NOTES._replace(velocity=np.array([20, 120, 127])), 60.0)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    axes = figure.axes[0]

    def colour(time: float, pitch: float) -> list[int]:
        x, y = axes.transData.transform((time, pitch))
        return picture[picture.shape[0] - 1 - int(y), int(x)].tolist()

    soft, loud = colour(1.5, 60), colour(59.0, 64)
    assert soft != [255] * 3 != loud and sum(soft) > sum(loud)  # loud is dark
    assert colour(30.0, 62) == [255] * 3


def test_short_and_very_long_pieces():
    assert len(piano_roll_figure(NOTES, 5.0).axes) == 2
    long = piano_roll_figure(NOTES, 7200.0)
    assert len(long.axes) == 13 and long.axes[0].get_xlim() == (0.0, 600.0)
    with pytest.raises(ValueError, match="seconds=0"):
        piano_roll_figure(NOTES, 0.0)


def test_a_roll_is_what_was_played():
    roll = PianoRoll()
    roll.pedal(0.5, True)
    roll.note(1.0, 4.0, 60, 20)
    roll.note(2.0, 3.0, 60, 30)  # struck again while it is down
    roll.pedal(2.5, False)
    roll.pedal(9.0, True)  # and never up
    assert len(roll) == 2
    axes, _ = roll.figure(10.0, "a title").axes
    assert axes.get_title(loc="left") == "a title" and axes.get_xlim() == (0.0, 10.0)
    strip, bars = ([path.vertices[:4, 0] for path in each.get_paths()] for each in axes.collections)
    assert [(bar.min(), bar.max()) for bar in bars] == [(1.0, 2.0), (2.0, 3.0)]
    assert [(press.min(), press.max()) for press in strip] == [(0.5, 2.5), (9.0, 10.0)]


def test_a_roll_without_notes_is_a_picture_too():
    FigureCanvasAgg(PianoRoll().figure(5.0)).draw()
