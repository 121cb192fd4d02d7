import pytest

from datamodules.errors import AudioError, CacheError, DataError, OptionError, ReleaseError


def test_the_text_has_problem_and_remedy() -> None:
    error = DataError("x=3 is odd", "give an even number")
    assert str(error) == "x=3 is odd\n  What to do: give an even number"
    assert (error.problem, error.remedy) == ("x=3 is odd", "give an even number")


@pytest.mark.parametrize("kind", [AudioError, CacheError, OptionError, ReleaseError])
def test_all_are_data_errors(kind: type[DataError]) -> None:
    assert issubclass(kind, DataError)
    assert issubclass(OptionError, ValueError)
