"""What the parser says of values that do not fit, in short."""

import re

_TYPES = re.compile(
    r"Does not validate|Subtypes|Errors:|Given value|Expected a <class 'NoneType'>|Expected a path but|$"
)
"""Lines that list the types that a value is not, or repeat all that was given."""


def innermost(message: str) -> str:
    """What is left of an error of jsonargparse without the types that a value is not: one line."""
    lines = [line.strip(" -") for line in message.splitlines()]
    told = " ".join(line for line in lines if not _TYPES.match(line))
    given = re.search(r"Given value: ([^\n]*)", message)  # the first is the innermost
    return told if given is None or "Got value: " in told else f"{told}. Got value: {given[1]:.100}"
