"""Errors of the parser in short."""

import jsonargparse
import pytest

from lightning_modules.checkpoints.parsing import innermost


def test_the_types_that_a_value_is_not_are_left_out():
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--rate", type=int | list[int] | None)
    with pytest.raises(jsonargparse.ArgumentError) as caught:
        parser.parse_object({"rate": ["a", *range(100)]})
    assert "Does not validate" in str(caught.value) and "98, 99" in str(caught.value)
    told = innermost(str(caught.value))
    assert "Expected a <class 'int'>. Got value: a" in told and "\n" not in told
    assert (
        innermost("Expected a tuple\n  Given value: [1]\n  Given value: [[1]]")
        == "Expected a tuple. Got value: [1]"
    )
    assert "Does not validate" not in told and "98, 99]" not in told.partition("Got value: a")[2]
