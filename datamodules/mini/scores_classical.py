"""Scores of the mini release up to 1810: Bach, Petzold, Mozart, Beethoven. All are in the public domain."""

from fractions import Fraction

from datamodules.mini.score import Score, joined, repeated

# --- J. S. Bach, Prelude in C: one five-part chord a bar, broken in one figure throughout -----------------
_PRELUDE_CHORDS = """
    c4 e4 g4 c5 e5   | c4 d4 a4 d5 f5  | b3 d4 g4 d5 f5  | c4 e4 g4 c5 e5   | c4 e4 a4 e5 a5
    c4 d4 f#4 a4 d5  | b3 d4 g4 d5 g5  | b3 c4 e4 g4 c5  | a3 c4 e4 g4 c5   | d3 a3 d4 f#4 c5
    g3 b3 d4 g4 b4   | g3 bb3 e4 g4 c#5 | f3 a3 d4 a4 d5 | f3 ab3 d4 f4 b4  | e3 g3 c4 g4 c5
    e3 f3 a3 c4 f4   | d3 f3 a3 c4 f4  | g2 d3 g3 b3 f4
"""


def _prelude() -> tuple[str, ...]:
    chords = [bar.split() for line in _PRELUDE_CHORDS.strip().splitlines() for bar in line.split("|")]
    upper = [repeated(f"r/8 {c}/16 {d} {e} {c} {d} {e}", 2) for _, _, c, d, e in chords]
    middle = [repeated(f"r/16 {b}/4~ {b}/8.", 2) for _, b, _, _, _ in chords]
    bass = [repeated(f"{a}/2", 2) for a, *_ in chords]
    return joined(*upper, "e4+g4+c5/1"), joined(*middle, "g3/1"), joined(*bass, "c3/1")


BACH = Score(
    composer="Johann Sebastian Bach",
    title="Prelude and Fugue in C Major, WTC I, BWV 846",
    split="train",
    year=2004,
    sample_rate=44100,
    meter=Fraction(1),
    quarters_per_minute=110.0,
    voices=_prelude(),
    dynamics=((0, "mp"), (5, "mf"), (8, "mp"), (11, "mf"), (14, "f"), (17, "mp"), (19, "p")),
    pedal=Fraction(1, 2),
    accompaniment=0.94,
    peak_dbfs=-7.0,
)

# --- C. Petzold, Minuet in G ----------------------------------------------------------------------------
_MINUET_RIGHT = joined(
    "d5/4 g4/8 a4 b4 c5 | d5/4 g4' g4' | e5/4 c5/8 d5 e5 f#5 | g5/4 g4' g4' | c5/4 d5/8 c5 b4 a4",
    "b4/4 c5/8 b4 a4 g4 | f#4/4 g4/8 a4 b4 g4 | b4/8 a4/2~ a4/8",
    "d5/4 g4/8 a4 b4 c5 | d5/4 g4' g4' | e5/4 c5/8 d5 e5 f#5 | g5/4 g4' g4' | c5/4 d5/8 c5 b4 a4",
    "b4/4 c5/8 b4 a4 g4 | a4/4 b4/8 a4 g4 f#4 | g4/2.",
    "b5/4 g5/8 a5 b5 g5 | a5/4 d5/8 e5 f#5 d5 | g5/4 e5/8 f#5 g5 d5 | c#5/4 b4/8 c#5 a4/4",
    "a4/8 b4 c#5 d5 e5 f#5 | g5/4 f#5 e5 | f#5 a4 c#5 | d5/2.",
    "d5/4 g4/8 f#4 g4/4 | e5/4 g4/8 f#4 g4/4 | d5/4 c5 b4 | a4/8 g4 f#4 g4 a4/4",
    "d4/8 e4 f#4 g4 a4 b4 | c5/4 b4 a4 | b4/8 d5 g4/4 f#4 | b3+d4+g4/2.",
)
_MINUET_LEFT = joined(
    "g3+b3+d4/2 a3/4 | b3/2. | c4 | b3 | a3 | g3 | d4/4 b3 g3 | d4 d3/8 c4 b3 a3",
    "b3/2 a3/4 | g3 b3 g3 | c4/2. | b3/4 c4/8 b3 a3 g3 | a3/2 f#3/4 | g3/2 b3/4 | c4 d4 d3 | g3/2 g2/4",
    "g3/2. | f#3 | e3/4 g3 e3 | a3/2 a2/4 | a3/2. | b3/4 d4 c#4 | d4 f#3 a3 | d4 d3 c4",
    "b3 b3+d4 b3 | c4 c4+e4 c4 | b3 a3 g3 | d4/2 r/4 | d3/2. | e3/4 g3 f#3 | g3 b2 d3 | g3 d3 g2",
)

PETZOLD = Score(
    composer="Christian Petzold",
    title="Minuet in G Major, BWV Anh. 114",
    split="train",
    year=2008,
    sample_rate=48000,
    meter=Fraction(3, 4),
    quarters_per_minute=142.0,
    voices=(_MINUET_RIGHT, _MINUET_LEFT),
    dynamics=((0, "mf"), (8, "p"), (15, "mp"), (16, "f"), (24, "mp"), (31, "mf")),
    rubato=0.03,
    accompaniment=0.82,
    peak_dbfs=-6.0,
)

# --- W. A. Mozart, Rondo alla turca -----------------------------------------------------------------------
_TURKISH_RIGHT = (
    "c5/8 r d5/16 c5 b4 c5 | e5/8 r f5/16 e5 d#5 e5 | b5 a5 g#5 a5 b5 a5 g#5 a5 | c6/4 a5/8 c6 "
    "| >b5/8 f#5+a5' e5+g5' f#5+a5' | >b5 f#5+a5' e5+g5' f#5+a5' | >b5 f#5+a5' e5+g5' d#5+f#5' | e5/4"
)
_TURKISH_MIDDLE = (
    "e5+g5/8' e5+g5' a5/16 g5 f5 e5 | >b4+d5/4 c5+e5/8' d5+f5' | e5+g5' e5+g5' a5/16 g5 f5 e5 "
    "| >b4+d5/4 a4+c5/8' b4+d5' | c5+e5' c5+e5' f5/16 e5 d5 c5 | >g#4+b4/4 a4+c5/8' b4+d5' "
    "| c5+e5' c5+e5' f5/16 e5 d5 c5 | >g#4+b4/4 b4/16 a4 g#4 a4 "
    "| c5/8 r d5/16 c5 b4 c5 | e5/8 r f5/16 e5 d#5 e5 | b5 a5 g#5 a5 b5 a5 g#5 a5 | c6/4 a5/8 b5 "
    "| c6 b5 a5 g#5 | a5 e5 f5 d5 | c5/4 b4/8. a4/16 | a4/4"
)
_TURKISH_MAJOR = (
    "c#5+c#6/4 a4+a5/8 b4+b5 | c#5+c#6 b4+b5 a4+a5 g#4+g#5 | f#4+f#5 g#4+g#5 a4+a5 b4+b5 "
    "| g#4+g#5 e4+e5 a4+a5 b4+b5 | c#5+c#6/4 a4+a5/8 b4+b5 | c#5+c#6 b4+b5 a4+a5 g#4+g#5 "
    "| f#4+f#5 b4+b5 g#4+g#5 e4+e5 | a4+a5/4"
)
_TURKISH_LEFT = (
    "a3/8 c4+e4' c4+e4' c4+e4' | % | a3/8 c4+e4' a3 c4+e4' | a3/8 c4+e4' c4+e4' c4+e4' "
    "| e3/8 b3+e4' b3+e4' b3+e4' | % | e3/8 b3+e4' b2 b3 | e3/4"
)
_TURKISH_LEFT_MIDDLE = (
    "c3/8 c4 e3 e4 | g3/4 r | c3/8 c4 e3 e4 | g3/4 r | a2/8 a3 c3 c4 | e3/4 r | a2/8 a3 c3 c4 | e3/4 r "
    "| a3/8 c4+e4' c4+e4' c4+e4' | % | a3/8 c4+e4' a3 c4+e4' | f3/8 a3+d#4' a3+d#4' a3+d#4' "
    "| e3/8 a3+e4' d3 b3+e4' | c3 a3+e4' d3 a3+d4' | e3 a3+c4' e3 g#3+d4' | a2+a3/4"
)
_TURKISH_LEFT_MAJOR = (
    "a2+c#3+e3+a3/4 a2+c#3+e3+a3 | % | d3+f#3+a3 d#3+f#3+a3 | e3+g#3+b3 e3+g#3+b3 "
    "| a2+c#3+e3+a3 a2+c#3+e3+a3 | % | d3+f#3+b3 e2+e3+g#3+d4 | a2+e3+a3"
)

MOZART = Score(
    composer="Wolfgang Amadeus Mozart",
    title="Sonata No. 11 in A Major, K331, Third Movement",
    split="train",
    year=2009,
    sample_rate=44100,
    meter=Fraction(1, 2),
    quarters_per_minute=140.0,
    voices=(
        joined(
            "b4/16 a4 g#4 a4",
            f"{_TURKISH_RIGHT} b4/16 a4 g#4 a4",
            f"{_TURKISH_RIGHT} c5+e5/8' d5+f5'",
            f"{_TURKISH_MIDDLE} a4+a5/8 b4+b5",
            f"{_TURKISH_MAJOR} a4+a5/8 b4+b5",
            _TURKISH_MAJOR,
        ),
        joined(
            "r/4",
            f"{_TURKISH_LEFT} r",
            f"{_TURKISH_LEFT} r",
            f"{_TURKISH_LEFT_MIDDLE} r",
            f"{_TURKISH_LEFT_MAJOR} r",
            _TURKISH_LEFT_MAJOR,
        ),
    ),
    dynamics=((0, "p"), (8, "mp"), (16, "mp"), (17, "mf"), (24, "p"), (31.5, "mf"), (32.5, "f"), (48, "ff")),
    pickup=Fraction(1, 4),
    rubato=0.025,
    accompaniment=0.78,
    peak_dbfs=-4.0,
)

# --- L. van Beethoven, Für Elise ---------------------------------------------------------------------------
_ELISE_RIGHT = (
    "e5/16 d#5 e5 b4 d5 c5 | a4/8 r/16 c4 e4 a4 | b4/8 r/16 e4 g#4 b4 | c5/8 r/16 e4 e5 d#5 "
    "| e5 d#5 e5 b4 d5 c5 | a4/8 r/16 c4 e4 a4 | b4/8 r/16 e4 c5 b4"
)
_ELISE_LEFT = (
    "r/4. | a2/16 e3 a3 r/8. | e2/16 e3 g#3 r/8. | a2/16 e3 a3 r/8. "
    "| r/4. | a2/16 e3 a3 r/8. | e2/16 e3 g#3 r/8."
)
_ELISE_MIDDLE_RIGHT = (
    "a4/8 r/16 b4 c5 d5 | e5/8. g4/16 f5 e5 | d5/8. f4/16 e5 d5 | c5/8. e4/16 d5 c5 "
    "| b4/8 r/16 e4 e5 r | r e5 e6 r r d#5 | e5 r r d#5 e5 d#5"
)
_ELISE_MIDDLE_LEFT = (
    "a2/16 e3 a3 r/8. | c3/16 g3 c4 r/8. | g2/16 g3 b3 r/8. | a2/16 e3 a3 r/8. "
    "| e2/16 e3 e4 r r e4 | e5 r r d#5 e5 r | r d#5 e5 r/8."
)

BEETHOVEN_ELISE = Score(
    composer="Ludwig van Beethoven",
    title="Bagatelle No. 25 in A Minor, WoO 59",
    split="train",
    year=2011,
    sample_rate=44100,
    meter=Fraction(3, 8),
    quarters_per_minute=70.0,
    voices=(
        joined(
            "e5/16 d#5",
            f"{_ELISE_RIGHT} | a4/4 e5/16 d#5",
            _ELISE_RIGHT,
            _ELISE_MIDDLE_RIGHT,
            _ELISE_RIGHT,
            "a4/4",
        ),
        joined(
            "r/8",
            f"{_ELISE_LEFT} | a2/16 e3 a3 r/8.",
            _ELISE_LEFT,
            _ELISE_MIDDLE_LEFT,
            _ELISE_LEFT,
            "a2/16 e3 a3 r",
        ),
    ),
    dynamics=((0, "pp"), (8, "p"), (16, "mp"), (18, "mf"), (22, "p"), (27, "mp"), (30, "pp")),
    pickup=Fraction(1, 8),
    pedal=Fraction(3, 8),
    rubato=0.09,
    accompaniment=0.86,
    peak_dbfs=-9.0,
)

# --- L. van Beethoven, "Moonlight" Sonata, first movement -------------------------------------------------
_MOONLIGHT_TRIPLETS = joined(
    repeated("g#3/12 c#4 e4", 4),
    "%",
    f"{repeated('a3/12 c#4 e4', 2)} {repeated('a3/12 d4 f#4', 2)}",
    "g#3/12 c4 f#4 g#3 c#4 e4 g#3 c#4 d#4 f#3 c4 d#4",
    f"e3/12 g#3 c#4 {repeated('g#3/12 c#4 e4', 3)}",
    repeated("g#3/12 d#4 f#4", 4),
    f"{repeated('g#3/12 c#4 e4', 2)} {repeated('a3/12 c#4 f#4', 2)}",
    f"{repeated('g#3/12 b3 e4', 2)} {repeated('a3/12 b3 d#4', 2)}",
    "g#3/12 b3 e4 g#3 b3 e4 b3+e4/2",
)
_MOONLIGHT_MELODY = (
    "r/1 | r | r | r | r/2. g#4/8. g#4/16 | g#4/2. g#4/8. g#4/16 | g#4/2 a4 | g#4 f#4/4 b4 | e4/1"
)
_MOONLIGHT_BASS = (
    "c#2+c#3/1 | b1+b2 | a1+a2/2 f#1+f#2 | g#1+g#2 g#1+g#2 | c#2+g#2+c#3/1 | c2+c3 "
    "| c#2+c#3/2 f#1+f#2 | b1+b2 b1+b2 | e2+e3/1"
)

BEETHOVEN_MOONLIGHT = Score(
    composer="Ludwig van Beethoven",
    title="Sonata No. 14 in C-sharp Minor, Op. 27 No. 2, First Movement",
    split="test",
    year=2014,
    sample_rate=44100,
    meter=Fraction(1),
    quarters_per_minute=53.0,
    voices=(_MOONLIGHT_MELODY, _MOONLIGHT_TRIPLETS, _MOONLIGHT_BASS),
    dynamics=((0, "p"), (4, "p"), (5, "mp"), (7, "mf"), (9, "p")),
    pedal=Fraction(1, 2),
    rubato=0.05,
    accompaniment=0.84,
    peak_dbfs=-6.0,
)

CLASSICAL = (BACH, PETZOLD, MOZART, BEETHOVEN_ELISE, BEETHOVEN_MOONLIGHT)
