from fractions import Fraction

import pytest

from datamodules.mini.notation import NotationError, length, parse_voice, pitch_number
from datamodules.mini.release import SCORES
from datamodules.mini.score import Score

WHOLE = Fraction(1)


@pytest.mark.parametrize(
    ("name", "key"), [("c4", 60), ("a4", 69), ("bb3", 58), ("b3", 59), ("c#5", 73), ("a0", 21), ("f##4", 67)]
)
def test_pitch_names(name: str, key: int) -> None:
    assert pitch_number(name) == key


def test_durations_dots_triplets_chords_rests_and_marks() -> None:
    notes = parse_voice("c4/4. d4/8 r/4 >e4+g4/12 f4' g4", WHOLE)
    assert [note.pitch for note in notes] == [60, 62, 64, 67, 65, 67]
    eighth, third = Fraction(1, 8), Fraction(1, 12)
    assert [note.onset for note in notes] == [
        0,
        3 * eighth,
        6 * eighth,
        6 * eighth,
        6 * eighth + third,
        1 - third,
    ]
    assert [note.duration for note in notes] == [3 * eighth, eighth, third, third, third, third]
    assert [note.accent for note in notes] == [False, False, True, True, False, False]
    assert [note.staccato for note in notes] == [False, False, False, False, True, False]


def test_a_tie_over_the_bar_makes_one_note() -> None:
    (held, after) = parse_voice("c4/1~ | c4/2 d4", WHOLE)
    assert (held.onset, held.duration) == (0, Fraction(3, 2))
    assert after.onset == Fraction(3, 2)


def test_percent_repeats_a_bar() -> None:
    notes = parse_voice("c4/2 e4 | % | %", WHOLE)
    assert [note.pitch for note in notes] == [60, 64] * 3


def test_a_pickup_and_the_bar_that_completes_it() -> None:
    notes = parse_voice("g4/4 | c5/1 | g4/2.", WHOLE, pickup=Fraction(1, 4))
    assert [note.onset for note in notes] == [0, Fraction(1, 4), Fraction(5, 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c4/2 d4/4", "voice 0, bar 0: lasts 3/4 whole notes instead of 1"),
        ("c4/1 | d4/1 e4", "voice 0, bar 1: lasts 2 whole notes instead of 1"),
        ("c4/2 h4", "bar 0: cannot read 'h4'"),
        ("c4 d4", "'c4', the first token of a voice, needs a duration"),
        ("c4/2~ d4", "the tie before 1/2 whole notes leads to no same pitch"),
        ("c4/2 cb#4", "'cb#4' is not a pitch"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(NotationError) as error:
        parse_voice(text, WHOLE)
    assert message in str(error.value)


def test_voices_must_end_together() -> None:
    with pytest.raises(NotationError, match="voices last 1, 2 whole notes; they must end together"):
        length(["c4/1", "c3/1 | c3"], WHOLE)


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.title)
def test_every_bar_of_every_score_is_full_and_its_voices_end_together(score: Score) -> None:
    notes = score.notes()  # raises NotationError where a bar is not
    end = max(note.onset + note.duration for note in notes)
    assert score.length() - score.meter < end <= score.length()  # it may end with a rest


# The openings as any edition has them, in MIDI numbers: the melody's first notes, the lowest voice's first.
OPENINGS = {
    "Prelude and Fugue in C Major, WTC I, BWV 846": ([67, 72, 76, 67, 72, 76], [60, 60, 60, 60, 59, 59]),
    "Minuet in G Major, BWV Anh. 114": ([74, 67, 69, 71, 72, 74, 67, 67], [55, 59, 62, 57, 59, 60]),
    "Sonata No. 11 in A Major, K331, Third Movement": (
        [71, 69, 68, 69, 72, 74, 72, 71, 72, 76],
        [57, 60, 64],
    ),
    "Bagatelle No. 25 in A Minor, WoO 59": ([76, 75, 76, 75, 76, 71, 74, 72, 69], [45, 52, 57, 40, 52, 56]),
    "Sonata No. 14 in C-sharp Minor, Op. 27 No. 2, First Movement": ([68, 68, 68, 68, 68], [37, 49, 35, 47]),
    "Prelude Op. 28 No. 4 in E Minor": ([59, 71, 71, 72, 71, 72, 71, 70, 69], [55, 59, 64]),
    "Prelude Op. 28 No. 20 in C Minor": ([67, 72, 75, 79, 68, 72, 77, 80], [36, 48, 29, 41, 31, 43]),
    "Nocturne in E-flat Major, Op. 9, No. 2": ([70, 79, 77, 79, 77, 75, 70, 79, 72, 84, 79], [39, 55, 58]),
    "Kinderszenen, Op. 15, No. 7, Träumerei": ([60, 65, 64, 65, 69, 72, 77, 76, 74, 72, 65], [41, 46, 48]),
    "Gymnopédie No. 1": ([78, 81, 79, 78, 73, 71, 73, 74, 69], [43, 59, 62, 66, 38, 57, 61, 66]),
    "Peer Gynt Suite No. 1, Op. 46, In the Hall of the Mountain King": ([47, 49, 50, 52, 54, 50, 54], [35]),
    "The Entertainer": ([74, 86, 76, 88, 72, 84, 69, 81, 71, 83, 67, 79], [31, 43, 48]),
}


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.title)
def test_openings(score: Score) -> None:
    melody, lowest = OPENINGS[score.title]
    last = len(score.voices) - 1
    pitches = {voice: [n.pitch for n in score.notes() if n.voice == voice] for voice in (0, last)}
    assert pitches[0][: len(melody)] == melody
    assert pitches[last][: len(lowest)] == lowest
