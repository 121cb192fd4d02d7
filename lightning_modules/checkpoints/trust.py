"""Classes that a checkpoint or its run's config may name, checked before any of them is imported.

A checkpoint, a density and a run's config hold class paths and arguments as plain values. Only classes that
the program itself consists of are built for them: its own packages, torch's optimisers and schedulers, a few
of Lightning's callbacks. Classes of other packages need a person who names the package, with `--trust` or in
`LIGHTNING_TRUST`. A config that a person names with `--config` is a program and is not looked at.
"""

import collections.abc
import enum
import inspect
import math
import os
import re
import shlex
import types
import typing
from collections.abc import Collection, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning_modules.errors import CheckpointError

ENVIRONMENT = "LIGHTNING_TRUST"
"""Names of further packages, separated by commas: what `--trust` sets for one command."""
OWN_PACKAGES = ("lightning_modules", "datamodules")
TORCH_PACKAGES = ("torch.optim",)
LIGHTNING_PACKAGES = ("lightning.pytorch.callbacks", "lightning.pytorch.loggers")
LIGHTNING_CLASSES = frozenset(
    {
        "DeviceStatsMonitor",
        "EarlyStopping",
        "LearningRateMonitor",
        "ModelSummary",
        "RichModelSummary",
        "RichProgressBar",
        "StochasticWeightAveraging",
        "TQDMProgressBar",
        "TensorBoardLogger",
        "Timer",
    }
)
"""Those that write nothing outside the run's folder by a path of their own, or only new files."""
LARGEST_NUMBER = 10**8
"""Of an argument that is no seed: a billion samples or channels would fill the memory."""
LONGEST_PATH = 300
"""Letters of a class path: each package in it is imported."""
MAX_VALUES = 20_000
MAX_DEPTH = 24
_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_PATH_NAME = re.compile(r"(^|_)(dir|dirpath|path|file|folder|root|cache|registry)$")
_WRITERS = ("trainer", "checkpoint")
"""Sections of a run's config whose objects write files."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None), os.PathLike, enum.Enum)


def trusted_packages(more: Collection[str] = ()) -> tuple[str, ...]:
    """Packages that the person trusts beside the program itself: `more`, and those of `LIGHTNING_TRUST`."""
    named = [name.strip() for name in os.environ.get(ENVIRONMENT, "").split(",")]
    return tuple(dict.fromkeys(name for name in (*more, *named) if name))


def check_description(description: object, role: object, where: str, trust: Collection[str] = ()) -> None:
    """Make sure that a description names nothing that may not be built for it.

    Args:
        description: Plain values: a `class_path` with its `init_args`, or whatever `role` asks for.
        role: Type hint of its place, usually a base class.
        where: What holds it, for errors.
        trust: Packages allowed beside the program itself and those of `LIGHTNING_TRUST`.

    Raises:
        CheckpointError: Naming the place and what stands there.
    """
    Inspection(where, trusted_packages(trust)).check(description, role, "description")


class Inspection:
    """One walk over a description, along the type hints of the constructors that it leads to.

    Args:
        file: What is looked at, for errors.
        packages: Packages allowed beside the program itself.
        folder: Where the paths of a config that came along must lie; None for descriptions, which have none.
        free: Places of paths that may lie elsewhere.
        references: Text that refers to another option and may stand in a config that came along: what it
            refers to must be a number, for text would get past what is checked here.
    """

    def __init__(
        self,
        file: str,
        packages: Collection[str],
        folder: Path | None = None,
        free: Collection[str] = (),
        references: Collection[str] = (),
    ) -> None:
        self.file = file
        self.packages = tuple(packages)
        self.folder = folder
        self.free = frozenset(free)
        self.references = frozenset(references)
        self.num_values = 0

    def check(self, value: object, hint: object, place: str, depth: int = 0) -> None:
        """Check a value, and all in it, for the place of a type hint.

        Raises:
            CheckpointError: Naming the place and what stands there.
        """
        self.num_values += 1
        if depth > MAX_DEPTH or self.num_values > MAX_VALUES:
            raise self._refusal(
                f"is nested deeper than {MAX_DEPTH} levels, or holds more than {MAX_VALUES} values", place
            )
        members = list(_members(hint))
        if isinstance(value, dict) and "class_path" in value:
            self._check_object(value, list(_roles(members)), place, depth)
        elif isinstance(value, dict):
            inner = _union(_arguments(members, collections.abc.Mapping, last=True))
            for key, item in value.items():
                if not isinstance(key, str | int | float):
                    raise self._refusal(f"has a {type(key).__name__} for a key", place)
                self.check(item, inner, f"{place}.{key}", depth + 1)
        elif isinstance(value, list | tuple):
            inner = _union(_arguments(members, collections.abc.Iterable))
            for number, item in enumerate(value):
                self.check(item, inner, f"{place}[{number}]", depth + 1)
        elif isinstance(value, str):
            self._check_text(value, members, place)
            if str not in members:  # where the parser takes `1e9` for a number, which YAML does not
                with suppress(ValueError):
                    self._check_number(float(value), place)
            if self.folder is not None:
                self._check_no_config(value, members, place, self.folder)
                self._check_reference(value, place)
                self._check_path(value, members, place, self.folder)
        elif isinstance(value, int | float):
            self._check_number(value, place)
        elif value is not None:
            raise self._refusal(f"is a {type(value).__name__}, no plain value", place)

    def check_arguments(self, arguments: object, constructor: Any, place: str, depth: int = 0) -> None:  # noqa: ANN401
        """Check the arguments of a constructor, by name.

        Raises:
            CheckpointError: Naming the place and what stands there.
        """
        if not isinstance(arguments, dict):
            raise self._refusal("is no table of arguments", place)
        hints = parameter_hints(constructor)
        for name, value in arguments.items():
            inner = f"{place}.{name}"
            if name not in hints and "**" not in hints:
                raise self._refusal(f"is an argument that {constructor.__name__} does not take", inner)
            if not isinstance(name, str) or not name.isidentifier():
                raise self._refusal("is no name of an argument", inner)
            self.check(value, hints.get(name, Any), inner, depth + 1)

    def resolve(self, class_path: object, roles: list[type], place: str) -> type:
        """Import a class that may be built at a place.

        Args:
            class_path: What the file says.
            roles: Base classes, one of which it must have.
            place: For errors.

        Raises:
            CheckpointError: If it may not.
        """
        is_path = isinstance(class_path, str) and len(class_path) <= LONGEST_PATH
        if not isinstance(class_path, str) or not is_path or not _CLASS_PATH.fullmatch(class_path):
            raise self._refusal(f"is {str(class_path)[:100]!r}, which is no path of a class", place)
        if not roles:
            raise self._refusal(f"names {class_path} where a plain value belongs", place)
        if not self._is_allowed(class_path):
            package = class_path.partition(".")[0]
            raise CheckpointError(
                f"{self.file} names {class_path} (at {place}), which is no part of this program and could do "
                "anything",
                f"if you trust the file and that package, add --trust {package} "
                f"(in Python: load_module(path, trust=[{package!r}]))",
            )
        found = self._imported(class_path, place)
        home = f"{found.__module__}.{found.__qualname__}" if isinstance(found, type) else ""
        if not isinstance(found, type) or not self._is_allowed(home):
            raise self._refusal(f"names {class_path}, which is no class of that package", place)
        if not any(_is_subclass(found, role) for role in roles):
            wanted = " or ".join(role.__name__ for role in roles)
            raise self._refusal(f"names {class_path}, which is no {wanted}", place)
        return found

    def _check_object(self, value: dict[Any, Any], roles: list[type], place: str, depth: int) -> None:
        if more := set(value) - {"class_path", "init_args"}:
            raise self._refusal(f"has {sorted(map(str, more))} beside class_path and init_args", place)
        found = self.resolve(value["class_path"], roles, place)
        if value.get("init_args") is not None:
            self.check_arguments(value["init_args"], found, place, depth)

    def _check_text(self, value: str, members: list[Any], place: str) -> None:
        """Text may be taken for a class path, or for YAML, where anything but text may stand."""
        if all(_is_plain(member) for member in members):
            return
        roles = list(_roles(members))
        may_be_text = any(member is str or typing.get_origin(member) is typing.Literal for member in members)
        wants_class = roles or any(_is_callable(member) for member in members)
        if any(member is Any for member in members) and _CLASS_PATH.fullmatch(value):
            raise self._refusal(f"is {value!r}, where it is not known what belongs", place)
        if wants_class and (not may_be_text or _CLASS_PATH.fullmatch(value)):
            self.resolve(value, roles, place)
        elif _is_structure(value):
            raise self._refusal("is text that would be read as a table or list", place)

    def _check_no_config(self, value: str, members: list[Any], place: str, folder: Path) -> None:
        """Where an object may stand, the parser reads its description from a file of that name."""
        if _hold_objects(members) and any(os.path.lexists(Path(where, value)) for where in (folder, Path())):
            raise self._refusal(f"is {value!r}, the name of a file, which would be read in its place", place)

    def _check_reference(self, value: str, place: str) -> None:
        """What stands elsewhere, in an option or the environment, is not looked at in this place."""
        if "${" in value and value not in self.references:
            raise CheckpointError(
                f"{self.file} asks for {value!r} (at {place}), by which it could give away what your "
                "environment holds, or put in this place what does not belong there",
                f"if you trust the file, name it yourself: --config {shlex.quote(self.file)}",
            )

    def _check_path(self, value: str, members: list[Any], place: str, folder: Path) -> None:
        """What is written goes into the run's folder."""
        is_path = _PATH_NAME.search(place.rpartition(".")[2]) or any(
            isinstance(member, type) and _is_subclass(member, os.PathLike) for member in members
        )
        if place in self.free or not (is_path or place.startswith(_WRITERS)):
            return
        path = Path(os.path.expanduser(value))
        if "\0" in value:
            raise self._refusal("is no path", place)
        if is_path:
            leaves = not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
        else:
            leaves = path.is_absolute() or ".." in path.parts
        if leaves:
            raise CheckpointError(
                f"{self.file} names the path {value} (at {place}), which lies outside the run's own folder",
                f"if you trust the file, name it yourself: --config {shlex.quote(self.file)}",
            )

    def _check_number(self, value: float, place: str) -> None:
        is_seed = "seed" in place.rpartition(".")[2]
        if LARGEST_NUMBER < abs(value) < math.inf and not (is_seed and abs(value) < 1 << 64):
            # thousands of digits are not turned into text
            amount = value if abs(value) < 1 << 64 else "a number of many digits"
            raise self._refusal(f"is {amount}, and no argument may be more than {LARGEST_NUMBER:,}", place)

    def _is_allowed(self, class_path: str) -> bool:
        if any(_is_within(class_path, package) for package in LIGHTNING_PACKAGES):
            if class_path.rpartition(".")[2] in LIGHTNING_CLASSES:
                return True
        return any(
            _is_within(class_path, package) for package in (*OWN_PACKAGES, *TORCH_PACKAGES, *self.packages)
        )

    def _imported(self, class_path: str, place: str) -> object:
        module_name, _, class_name = class_path.rpartition(".")
        try:
            return getattr(import_module(module_name), class_name)
        except (ImportError, AttributeError) as error:
            raise CheckpointError(
                f"{self.file} names the class {class_path} (at {place}), which does not exist here ({error})",
                "install the package that has it, in the version that wrote the file",
            ) from error

    def _refusal(self, what: str, place: str) -> CheckpointError:
        return CheckpointError(
            f"{self.file} cannot be used: {place} {what}",
            "use a file that this program wrote, in the version that wrote it",
        )


def parameter_hints(constructor: Any) -> dict[str, Any]:  # noqa: ANN401 (a class, or anything with a signature)
    """Type hints of a constructor's parameters, `Any` where there is none; "**" if it takes any others."""
    if constructor.__init__ is object.__init__:
        return {}
    try:
        hints = typing.get_type_hints(constructor.__init__)
    except (NameError, TypeError, AttributeError):  # written for type checkers alone
        hints = {}
    found = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found["**"] = Any
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            found[name] = hints.get(name, Any)
    return found


def _is_within(class_path: str, package: str) -> bool:
    return class_path.startswith(package + ".")


def _members(hint: Any) -> Iterator[Any]:  # noqa: ANN401 (type hints have no common type)
    """The alternatives of a type hint."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        for member in typing.get_args(hint):
            yield from _members(member)
    elif origin is typing.Annotated:
        yield from _members(typing.get_args(hint)[0])
    elif isinstance(hint, typing.NewType):
        yield from _members(hint.__supertype__)
    else:
        yield hint


def _union(members: list[Any]) -> Any:  # noqa: ANN401 (a type hint)
    return typing.Union[tuple(members)] if members else Any  # noqa: UP007 (of a list)


def _arguments(members: list[Any], kind: type, last: bool = False) -> list[Any]:
    """Type of the items of a container, by those of the hints `members` that are such containers."""
    found = []
    for member in members:
        origin = typing.get_origin(member)
        if isinstance(origin, type) and _is_subclass(origin, kind):
            arguments = [each for each in typing.get_args(member) if each is not ...]
            found += arguments[-1:] if last else arguments
    return found


def _roles(members: list[Any]) -> Iterator[type]:
    """Base classes of the objects that may stand at a place; none where only plain values may."""
    for member in members:
        origin, arguments = typing.get_origin(member), typing.get_args(member)
        if _is_callable(member):
            yield from _roles(list(_members(arguments[-1]))) if arguments else ()
        elif origin is type:
            yield from _roles(list(_members(arguments[0])))
        else:
            role = origin or member
            if (
                isinstance(role, type)
                and role is not object
                and not _is_plain(role)
                and not _is_container(role)
            ):
                yield role


def _hold_objects(members: list[Any]) -> bool:
    """Whether an object may stand at a place, or in a container there."""
    inner = [each for member in members if not _is_callable(member) for each in typing.get_args(member)]
    return any(_roles(members)) or any(_hold_objects(list(_members(each))) for each in inner)


def _is_callable(member: Any) -> bool:  # noqa: ANN401 (a type hint)
    return collections.abc.Callable in (member, typing.get_origin(member)) or member is typing.Callable


def _is_container(role: type) -> bool:
    return role.__module__ in ("builtins", "collections", "collections.abc", "typing")


def _is_plain(member: Any) -> bool:  # noqa: ANN401 (a type hint)
    if typing.get_origin(member) is typing.Literal:
        return True
    return isinstance(member, type) and _is_subclass(member, _PLAIN)


def _is_subclass(found: type, role: type | tuple[type, ...]) -> bool:
    try:
        return issubclass(found, role)
    except TypeError:  # a protocol: the parser looks at its methods
        return True


def _is_structure(text: str) -> bool:
    import yaml  # type: ignore[import-untyped]  # ships no type information

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return any(mark in text for mark in "{[")
    return node is not None and not isinstance(node, yaml.ScalarNode)
