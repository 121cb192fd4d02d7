"""Damage for good files, always the same: by bytes, and by values; what reading them may lead to."""

import copy
import resource
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from datamodules.errors import ExperimentError

SLOWEST_SECONDS = 10.0
MOST_BYTES = 2 << 30

EDIT = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "repeat", "number"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=8),
)
EDITS = st.lists(EDIT, min_size=1, max_size=6)
Edits = list[tuple[str, float, bytes]]


def damaged(content: bytes, edits: Edits) -> bytes:
    """Apply edits at places that are given as shares of the length."""
    for kind, share, value in edits:
        at = int(share * len(content))
        if kind == "flip":
            content = content[:at] + bytes([content[at] ^ value[0]]) + content[at + 1 :] if content else value
        elif kind == "cut":
            content = content[: at + 1] if value[0] % 2 else content[:at] + content[at + value[0] :]
        elif kind == "insert":
            content = content[:at] + value + content[at:]
        elif kind == "repeat":
            content = content[:at] + content[at : at + 64] * value[0] + content[at:]
        else:
            most = struct.pack("<I", (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000)[value[0] % 5])
            content = content[:at] + most + content[at + 4 :]
    return content


def fuzzed(strategy: st.SearchStrategy) -> Callable:
    """Five hundred inputs, the same ones at every run."""

    def decorate(test: Callable) -> Callable:
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
        limits = settings(
            max_examples=500,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=checks,
        )
        return seed(17)(limits(given(strategy)(test)))

    return decorate


@contextmanager
def within_limits() -> Iterator[None]:
    start, computed = time.monotonic(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
    # other programs on the machine may hold this one up
    assert time.process_time() - computed < SLOWEST_SECONDS and time.monotonic() - start < 6 * SLOWEST_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < MOST_BYTES + base_memory()


def base_memory() -> int:
    return 1 << 30  # of the test process itself, with torch


def outcome(read: Callable[[], object]) -> object:
    """What reading gives, or the kind of its refusal; anything else is a fault."""
    with within_limits():
        try:
            return read()
        except ExperimentError as error:
            assert error.problem and error.remedy
            return type(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CHANGE = st.tuples(st.floats(0, 1, exclude_max=True), JSON)


def changed(content: Any, share: float, value: object) -> Any:
    """A copy of nested lists and tables, one of whose values is another; `share` tells which."""
    content = copy.deepcopy(content)
    places = list(_places(content))
    holder, key = places[int(share * len(places))]
    holder[key] = value
    return content


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    for key in range(len(content)) if isinstance(content, list) else list(content):
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _places(content[key])
