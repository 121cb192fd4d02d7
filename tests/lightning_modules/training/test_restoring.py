"""What cannot be restored is a sentence; what goes wrong in training is not hidden behind it."""

import re
from pathlib import Path

import pytest

from lightning_modules.errors import CheckpointError, OptionError
from lightning_modules.training.exact_resume import restore_random_state
from lightning_modules.training.restoring import explained_restoring

PATH = Path("last.ckpt")


def test_a_state_of_other_values_is_one_sentence() -> None:
    message = "last.ckpt holds a state that training cannot go on from (KeyError: 'python')"
    with pytest.raises(CheckpointError, match=re.escape(message)), explained_restoring(PATH):
        restore_random_state({})


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(KeyError), explained_restoring(PATH):
        {}["a"]
    with pytest.raises(KeyError), explained_restoring(None):
        restore_random_state({})
    with pytest.raises(OptionError), explained_restoring(PATH):
        raise OptionError("a", "b")
