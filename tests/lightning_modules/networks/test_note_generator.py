import inspect

import pytest

from lightning_modules.networks import DifferentiablePiano, NoteRollGenerator
from lightning_modules.networks.note_generator import NoteGenerator


def test_the_role_alone_makes_no_sound():
    with pytest.raises(TypeError, match="abstract"):
        NoteGenerator()  # type: ignore[abstract]


@pytest.mark.parametrize("generator", [DifferentiablePiano, NoteRollGenerator])
def test_what_fills_the_role_takes_its_arguments(generator):
    assert issubclass(generator, NoteGenerator)
    wanted = list(inspect.signature(NoteGenerator.forward).parameters)
    assert list(inspect.signature(generator.forward).parameters) == wanted
