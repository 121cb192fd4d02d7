import pytest

from datamodules.errors import AudioError, CacheError, DataError, ExperimentError, OptionError, ReleaseError


def test_the_text_has_problem_and_remedy() -> None:
    error = DataError("x=3 is odd", "give an even number")
    assert str(error) == "x=3 is odd\n  What to do: give an even number"
    assert (error.problem, error.remedy) == ("x=3 is odd", "give an even number")


@pytest.mark.parametrize("kind", [AudioError, CacheError, ReleaseError])
def test_faults_of_the_data_are_data_errors(kind: type[DataError]) -> None:
    assert issubclass(kind, DataError)


def test_all_are_printed_without_a_traceback() -> None:
    assert issubclass(DataError, ExperimentError) and issubclass(OptionError, ExperimentError)
    assert issubclass(OptionError, ValueError)
