import pytest

from datamodules.errors import OptionError
from datamodules.options import at_least, gain_range, one_of, positive, whole_samples


def test_good_values_pass() -> None:
    assert at_least("n", 3, 3, "clips") == 3
    assert positive("x", 0.5, 1, "seconds") == 0.5
    assert one_of("channels", 2, (1, 2)) == 2
    assert whole_samples("x", 0.5, 16_000) == 8000
    assert gain_range("gain_db", (-6, 0)) == (-6, 0)


def test_bad_values_are_explained() -> None:
    with pytest.raises(OptionError, match=r"n=2 is too small\n.*at least 3 clips"):
        at_least("n", 2, 3, "clips")
    for value in (10, 10**400):
        with pytest.raises(OptionError, match=r"n=1.* is too large\n.*at most 9 clips"):
            at_least("n", value, 3, "clips", 9)
    with pytest.raises(OptionError, match=r"n=1\.5 is not a whole number\n.*give n in samples"):
        at_least("n", 1.5, 1, "samples")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"n=True is not a whole number"):
        at_least("n", True, 1, "samples")
    for value in (0, -1.0, 2.0, float("nan"), float("inf")):
        with pytest.raises(
            OptionError, match=rf"x={value} is out of range\n.*seconds: above 0, and at most 1"
        ):
            positive("x", value, 1, "seconds")
    with pytest.raises(OptionError, match=r"channels=3 is not supported\n.*choose from 1, 2"):
        one_of("channels", 3, (1, 2))
    for gain in ((0.0, -6.0), (-100.0, 0.0)):
        with pytest.raises(OptionError, match=r"gain_db=\(.*\) is no range of gains\n.*\[-6, 0\]"):
            gain_range("gain_db", gain)
