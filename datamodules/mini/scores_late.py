"""Scores of the mini release after 1875: Grieg, Satie, Joplin. All are in the public domain."""

from fractions import Fraction

from datamodules.mini.score import Score, joined

# --- E. Grieg, In the Hall of the Mountain King -----------------------------------------------------------
_STEPS = "c c# d d# e f f# g g# a a# b".split()


def _shifted(text: str, semitones: int, octaves_above: int = 0) -> str:
    """A single line moved by some semitones, and doubled in the octaves above."""
    moved = []
    for word in text.split():
        pitch, slash, rest = word.partition("/")
        if pitch in ("|", "r"):
            moved.append(word)
            continue
        key = 12 * int(pitch[-1]) + _STEPS.index(pitch[:-1]) + semitones
        octaves = (key + 12 * octave for octave in range(octaves_above + 1))
        moved.append("+".join(f"{_STEPS[k % 12]}{k // 12}" for k in octaves) + slash + rest)
    return " ".join(moved)


_MOUNTAIN_MINOR = (
    "b2/8 c#3 d3 e3 f#3 d3 f#3/4 | f3/8 c#3 f3/4 e3/8 c3 e3/4 "
    "| b2/8 c#3 d3 e3 f#3 d3 f#3 b3 | a3 f#3 d3 f#3 a3/2"
)
_MOUNTAIN_MAJOR = (
    "f#3/8 g#3 a#3 b3 c#4 a#3 c#4/4 | d4/8 a#3 d4/4 c#4/8 a#3 c#4/4 "
    "| f#3/8 g#3 a#3 b3 c#4 a#3 c#4/4 | d4/8 a#3 d4/4 c#4/2"
)


def _stamped(low: str, chords: str) -> str:
    """A bar of bass notes on the strong beats and chords on the weak ones."""
    return " ".join(f"{bass}/4 {chord}" for bass, chord in zip(low.split(), chords.split(), strict=True))


_MOUNTAIN_SOFT = joined(
    _stamped("b1 f#2", "b3+d4+f#4 b3+d4+f#4"),
    _stamped("c#2 c2", "f3+b3+c#4 e3+g3+c4"),
    _stamped("b1 f#2", "b3+d4+f#4 b3+d4+f#4"),
    _stamped("d2 a1", "a3+d4+f#4 a3+d4+f#4"),
)
_MOUNTAIN_DARK = joined(
    _stamped("b1 f#1", "f#2+b2+d3 f#2+b2+d3"),
    _stamped("c#2 c2", "f2+b2+c#3 e2+g2+c3"),
    _stamped("b1 f#1", "f#2+b2+d3 f#2+b2+d3"),
    _stamped("d2 a1", "f#2+a2+d3 f#2+a2+d3"),
)
_MOUNTAIN_DOMINANT = joined(
    _stamped("f#1+f#2 c#2", "a#2+c#3 a#2+c#3"),
    _stamped("a#1 f#1+f#2", "a#2+d3 a#2+c#3"),
    _stamped("f#1+f#2 c#2", "a#2+c#3 a#2+c#3"),
    _stamped("a#1 f#1+f#2", "a#2+d3 a#2+c#3"),
)
_MOUNTAIN_LOUD = joined(
    _stamped("b1+b2 f#1+f#2", "d3+f#3+b3 d3+f#3+b3"),
    _stamped("c#2+c#3 c2+c3", "f3+b3+c#4 e3+g3+c4"),
    _stamped("b1+b2 f#1+f#2", "d3+f#3+b3 d3+f#3+b3"),
    _stamped("d2+d3 a1+a2", "d3+f#3+a3 d3+f#3+a3"),
)

GRIEG = Score(
    composer="Edvard Grieg",
    title="Peer Gynt Suite No. 1, Op. 46, In the Hall of the Mountain King",
    split="train",
    year=2017,
    sample_rate=44100,
    meter=Fraction(1),
    quarters_per_minute=152.0,
    voices=(
        joined(
            _MOUNTAIN_MINOR,
            _shifted(_MOUNTAIN_MINOR, 12),
            _MOUNTAIN_MAJOR,
            _shifted(_MOUNTAIN_MAJOR, 12),
            _shifted(_MOUNTAIN_MINOR, 24),
            _shifted(_MOUNTAIN_MINOR, 24, octaves_above=1),
            "b5+d6+f#6+b6/4' r b4+d5+f#5+b5/4' r",
        ),
        joined(
            _MOUNTAIN_SOFT,
            _MOUNTAIN_DARK,
            _MOUNTAIN_DOMINANT,
            _MOUNTAIN_DOMINANT,
            _MOUNTAIN_LOUD,
            _MOUNTAIN_LOUD,
            "b1+f#2+b2/4' r b0+b1+f#2/4' r",
        ),
    ),
    dynamics=((0, "pp"), (4, "p"), (8, "mp"), (12, "mf"), (16, "f"), (20, "ff"), (24, "fff")),
    rubato=0.02,
    accompaniment=0.8,
    peak_dbfs=-1.0,
)

# --- E. Satie, Gymnopédie No. 1 ---------------------------------------------------------------------------
_SWAYING = "g2/4 b3+d4+f#4/2 | d2/4 a3+c#4+f#4/2"

SATIE = Score(
    composer="Erik Satie",
    title="Gymnopédie No. 1",
    split="train",
    year=2008,
    sample_rate=44100,
    meter=Fraction(3, 4),
    quarters_per_minute=80.0,
    voices=(
        joined(
            "r/2. | r | r | r | r/4 f#5 a5 | g5 f#5 c#5 | b4 c#5 d5 | a4/2.",
            "f#4/2.~ | f#4~ | f#4~ | f#4 | r/4 f#5 a5 | g5 f#5 c#5 | b4 c#5 d5 | a4/2. | c#5 | f#5",
        ),
        joined(*[_SWAYING] * 8, "f#2/4 a3+c#4+f#4/2 | b1/4 b3+d4+f#4/2"),
    ),
    dynamics=((0, "pp"), (4, "p"), (6, "mp"), (8, "p"), (12, "p"), (14, "mp"), (18, "pp")),
    pedal=Fraction(3, 4),
    rubato=0.05,
    accompaniment=0.76,
    peak_dbfs=-10.0,
)

# --- S. Joplin, The Entertainer ---------------------------------------------------------------------------
_RAG_THEME = "e4/16 c5/8 e4/16 c5/8 e4/16 c5~ | c5/4~ c5/16 c5+c6 d5+d6 d#5+d#6"
_RAG_CLOSE = "e5+e6/16 c5+c6 d5+d6 e5+e6/8 b4+b5/16 d5+d6/8"
_STRIDE = (
    "c3/8' g3+c4+e4' bb2' g3+c4+e4' | f2+f3/8' a3+c4+f4' f2+f3' ab3+c4+f4' "
    "| g2+g3/8' g3+c4+e4' g2' f3+g3+b3' | c3' g3+c4+e4' g2 c3"
)

JOPLIN = Score(
    composer="Scott Joplin",
    title="The Entertainer",
    split="train",
    year=2018,
    sample_rate=48000,
    meter=Fraction(1, 2),
    quarters_per_minute=64.0,
    voices=(
        joined(
            "d5+d6/16 e5+e6 c5+c6 a4+a5/8 b4+b5/16 g4+g5/8 | d4+d5/16 e4+e5 c4+c5 a3+a4/8 b3+b4/16 g3+g4/8",
            "d3+d4/16 e3+e4 c3+c4 a2+a3/8 b2+b3/16 a2+a3 ab2+ab3",
            "g2+g3/8 r >g4+b4+d5+g5 d4/16 d#4",
            _RAG_THEME,
            f"{_RAG_CLOSE} | c5+c6/4. d4/16 d#4",
            "e4/16 c5/8 e4/16 c5/8 e4/16 c5~ | c5/4~ c5/8 a4/16 g4",
            "f#4/16 a4 c5 e5/8 d5/16 c5 a4 | d5/4. d4/16 d#4",
            _RAG_THEME,
            f"{_RAG_CLOSE} | c5+c6/4. c5/16 d5",
            "e5/16 c5 d5 e5/8 c5/16 d5 c5 | e5 c5 d5 e5/8 c5/16 d5 c5 | e5 c5 d5 e5/8 b4/16 d5/8",
            "c5/4 >c5+e5+g5+c6/8' r",
        ),
        joined(
            "r/2 | r | r | r/4 >g1+g2/8 r",
            _STRIDE,
            "c3/8' g3+c4+e4' bb2' g3+c4+e4' | f2+f3/8' a3+c4+f4' c3' g3+c4+e4'",
            "d2+d3/8' f#3+a3+c4' d3' f#3+a3+c4' | g2' g3+b3+f4' g2 b2",
            _STRIDE,
            "c3/8' g3+c4+e4' bb2' g3+c4+e4' | a2' a3+c4+e4' f2+f3' a3+c4+f4'",
            "g2+g3/8' g3+c4+e4' g2' f3+g3+b3' | c3 g2 >c2+c3/8' r",
        ),
    ),
    dynamics=((0, "f"), (3, "ff"), (4, "mf"), (8, "f"), (12, "mf"), (16, "f"), (20, "ff")),
    rubato=0.02,
    accompaniment=0.8,
    peak_dbfs=-2.0,
)

LATE = (GRIEG, SATIE, JOPLIN)
