"""The models' errors are those of the data's package: one definition."""

import pytest

import datamodules.errors
from lightning_modules import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_each_is_the_same_class_and_has_problem_and_remedy(name: str):
    kind = getattr(errors, name)
    assert kind is getattr(datamodules.errors, name)
    error = kind("x=3 is odd", "give an even number")
    assert isinstance(error, errors.ExperimentError)
    assert (error.problem, error.remedy) == ("x=3 is odd", "give an even number")
