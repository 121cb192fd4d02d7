"""JSON files of a run, read into records whose values have the types that the records say."""

import json
import math
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from datamodules.files import read_limited
from lightning_modules.errors import ReportError

LARGEST_BYTES = 2**26
Record = TypeVar("Record")


def read_json(path: Path) -> Any:  # noqa: ANN401 (any JSON)
    """Content of a JSON file.

    Raises:
        ReportError: If it is missing, too large, or no JSON.
    """
    try:
        return json.loads(read_limited(path, LARGEST_BYTES))
    except OSError as error:
        reason = error.strerror or error
        raise ReportError(f"{path} cannot be read ({reason})", "run `lightning test` again") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path} is not JSON ({error})", "run `lightning test` again") from error


def record(kind: type[Record], values: object, path: Path) -> Record:
    """Make a dataclass or NamedTuple of JSON values.

    Args:
        kind: Its class; fields may be text, numbers, tables, records, tuples of them, literals, or None.
        values: What stands in the file, a table; NamedTuples may also be lists.
        path: The file, for errors.

    Raises:
        ReportError: If a value is missing, unknown, or not of its field's type.
    """
    try:
        return typing.cast(Record, _converted(values, kind, kind.__name__))
    except (ValueError, OverflowError, RecursionError) as error:
        raise ReportError(f"{path} is damaged ({error})", "run `lightning test` again") from error


def _converted(value: Any, hint: Any, place: str) -> Any:  # noqa: ANN401 (any JSON, any type hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [each for each in arguments if each is not type(None)]
        return None if value is None else _converted(value, inner, place)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(
            _converted(item, arguments[0], f"{place}[{number}]") for number, item in enumerate(value)
        )
    if origin is dict and isinstance(value, dict):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number):
            return number
    if hint in (int, str) and type(value) is hint:
        return value
    if isinstance(hint, type) and (names := _field_names(hint)):
        if isinstance(value, list) and issubclass(hint, tuple):
            value = dict(zip(names, value, strict=True))
        if isinstance(value, dict):
            return _record(value, hint, names, place)
    raise ValueError(f"{place} is {str(value)[:60]!r}")


def _record(values: dict[str, Any], kind: type, names: list[str], place: str) -> Any:  # noqa: ANN401
    if values.keys() != set(names):
        raise ValueError(f"{place} has {sorted(values)[:20]} where {names} belong")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _converted(values[name], hints[name], f"{place}.{name}") for name in names})


def _field_names(kind: type) -> list[str]:
    if issubclass(kind, tuple):
        return list(getattr(kind, "_fields", ()))
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []
