"""Checkpoints that describe themselves: class, arguments, sample rate, clip length, data, versions.

The convention is scikit-learn's: a module, and every role object injected into it, keeps each constructor
argument as an attribute of the same name. From that, `describe` makes the nested `class_path`/`init_args`
form of the experiment files, and `instantiate` builds the object again.
Checkpoints hold tensors and plain values only and are opened with `weights_only=True`: opening one runs no
code from it.
"""

import functools
import inspect
import os
import sys
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple, Protocol, TypeVar

import torch

from lightning_modules.checkpoints.allocation import AllocationLimit
from lightning_modules.checkpoints.file import KEY
from lightning_modules.checkpoints.parsing import innermost
from lightning_modules.checkpoints.trust import check_description
from lightning_modules.checkpoints.upgrade import FORMAT
from lightning_modules.errors import CheckpointError, ExperimentError

Role = TypeVar("Role")
_PLAIN = (bool, int, float, str, type(None))
_LONGEST_REASON = 400
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Describable(Protocol):
    """Attributes by which a module describes its audio and its training."""

    sample_rate: int
    clip_samples: int
    channels: int
    _checked_description: dict[str, Any] | None
    _trainer: Any


def describe_module(module: Describable, role: type) -> dict[str, Any]:
    """The part of a checkpoint under `KEY`, beside the weights.

    Args:
        module: What is saved.
        role: The base class that whoever opens the checkpoint will ask for.

    Raises:
        CheckpointError: If the module could not be rebuilt from its description.
    """
    description = describe(module)
    if description != module._checked_description:  # checking takes longer than writing a small checkpoint
        _parser(role).parse_object({"part": description})  # a mistake now costs less than after a night of it
        module._checked_description = description
    datamodule = getattr(module._trainer, "datamodule", None)
    return {
        "format": FORMAT,
        "module": description,
        "sample_rate": module.sample_rate,
        "clip_samples": module.clip_samples,
        "channels": module.channels,
        "data": describe(getattr(datamodule, "identity", None)),
        "versions": {name: _version(name) for name in ("maestro-lightning", "torch", "lightning")},
    }


class Difference(NamedTuple):
    """An option that is not the same in two descriptions.

    Attributes:
        name: Dotted, e.g. `optimizer.lr`.
        theirs: Value in the first.
        own: Value in the second.
        is_class: Whether these are the classes of an object.
    """

    name: str
    theirs: Any
    own: Any
    is_class: bool = False

    def __str__(self) -> str:
        return f"{self.name} is {_brief(self.own)}, in the checkpoint {_brief(self.theirs)}"


def differences(theirs: Any, own: Any, name: str = "") -> list[Difference]:  # noqa: ANN401 (plain values)
    """Options that differ between two descriptions; of objects of different classes, the classes alone."""
    if not (_is_object(theirs) and _is_object(own)):
        # a checkpoint may hold a tuple where a description of today has a list
        same = theirs == own or (isinstance(theirs, list | tuple) and list(theirs) == own)
        return [] if same else [Difference(name, theirs, own, _is_object(theirs) or _is_object(own))]
    classes = theirs["class_path"], own["class_path"]
    if classes[0].rpartition(".")[2] != classes[1].rpartition(".")[2]:
        return [Difference(name, *classes, is_class=True)]
    first, second = theirs.get("init_args") or {}, own.get("init_args") or {}
    found = []
    for key in dict.fromkeys([*first, *second]):
        if key in first and key in second:
            found += differences(first[key], second[key], f"{name}.{key}" if name else key)
    return found


def _is_object(value: object) -> bool:
    return isinstance(value, dict) and "class_path" in value


def _brief(value: Any) -> str:  # noqa: ANN401 (plain values)
    text = str(value["class_path"] if _is_object(value) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def check_weights(
    module: torch.nn.Module, weights: Mapping[str, torch.Tensor], theirs: dict[str, Any], where: str
) -> None:
    """Make sure that weights are those of a module, before any is loaded.

    Args:
        module: What they are for.
        weights: By name.
        theirs: Description of the module that they were saved from.
        where: What holds them, for errors.

    Raises:
        CheckpointError: In one sentence, with the options that differ.
    """
    own = {name: tuple(weight.shape) for name, weight in module.state_dict().items()}
    saved = {name: tuple(weight.shape) for name, weight in weights.items()}
    wrong = [name for name in dict.fromkeys([*saved, *own]) if saved.get(name) != own.get(name)]
    if not wrong:
        return
    first = wrong[0]
    sizes = f"{saved.get(first, 'not there')} and not {own.get(first, 'there')}"
    found = differences(theirs, describe(module))
    why = f"; the options differ: {'; '.join(map(str, found[:5]))}" if found else ""
    raise CheckpointError(
        f"The weights in {where} do not fit {type(module).__name__}: {len(wrong)} differ, the first is "
        f"{first}, which is {sizes}{why}",
        "use the options, and the version of this program, that the checkpoint was written under: leave out "
        "--config for the run's own",
    )


def check_fits(module: Describable, checkpoint: dict[str, Any]) -> None:
    """Make sure that a checkpoint is one of this class, for audio of this kind.

    Raises:
        CheckpointError: If it is not, naming both sides.
    """
    content = checkpoint.get(KEY)
    if content is None:
        return  # of another program, whose loading says what does not fit
    pairs = [("class", content["module"]["class_path"], _class_path(type(module), "module"))]
    pairs += [(name, content[name], getattr(module, name)) for name in ("sample_rate", "channels")]
    for name, theirs, own in pairs:
        if theirs != own:
            raise CheckpointError(
                f"The checkpoint was written by a model whose {name} is {theirs}, but that of the model it "
                f"is loaded into is {own}",
                "leave out --config to use the options of the checkpoint's own run, or start a new run "
                "without --ckpt_path",
            )
    check_weights(module, checkpoint["state_dict"], content["module"], "the checkpoint")  # type: ignore[arg-type]


def describe(value: Any, where: str = "module") -> Any:  # noqa: ANN401 (any argument of any role)
    """Describe an object by plain values alone.

    Args:
        value: A plain value, a list, tuple or dict of describable values, an object that keeps its
            constructor arguments as attributes, a class, or a `functools.partial` of a class with keyword
            arguments.
        where: Name of `value` for errors.

    Returns:
        Plain values as they are, tuples as lists, objects as `{"class_path": …, "init_args": {…}}`.

    Raises:
        CheckpointError: If `value` is none of these, naming the class and the argument.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [describe(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {_plain_key(key, where): describe(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, functools.partial):
        return _describe_partial(value, where)
    if isinstance(value, type):
        return {"class_path": _class_path(value, where)}
    if inspect.isroutine(value) or isinstance(value, torch.Tensor):
        raise CheckpointError(
            f"{where} is {_shown(value)}, which a checkpoint cannot hold as an argument",
            "pass plain values, an object that keeps its arguments as attributes, or functools.partial of a "
            "class (a function or lambda becomes a small class)",
        )
    return _describe_object(value, where)


def _describe_object(value: object, where: str) -> dict[str, Any]:
    cls = type(value)
    class_path = _class_path(cls, where)
    arguments = {}
    for name, parameter in _constructor_parameters(cls).items():
        if parameter.kind in _VARIADIC:
            raise CheckpointError(
                f"{where} is a {cls.__qualname__}, whose constructor takes {parameter}: a checkpoint cannot "
                "know what was passed",
                "write a small class with named arguments around it",
            )
        if not hasattr(value, name):
            raise CheckpointError(
                f"{where} is a {cls.__qualname__}, which does not keep its constructor argument {name!r}",
                f"set self.{name} = {name} in {cls.__qualname__}.__init__, for checkpoints to describe it",
            )
        arguments[name] = describe(getattr(value, name), f"{cls.__qualname__}.{name}")
    return {"class_path": class_path, "init_args": arguments}


def _constructor_parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    # a module without a constructor inherits torch's, which says (*args, **kwargs) and takes none
    no_constructor = cls.__init__ in (torch.nn.Module.__init__, object.__init__)  # type: ignore[misc]
    return {} if no_constructor else inspect.signature(cls).parameters


def _describe_partial(value: functools.partial[Any], where: str) -> dict[str, Any]:
    """A class with some of its arguments; from YAML it comes wrapped in jsonargparse's own functions."""
    positional = [
        item
        for item in (value.func, *value.args)
        if isinstance(item, type) or not getattr(item, "__module__", "").startswith("jsonargparse.")
    ]
    if len(positional) != 1 or not isinstance(positional[0], type):
        raise CheckpointError(
            f"{where} is {_shown(value)}, which a checkpoint cannot hold as an argument",
            "use functools.partial of a class, with keyword arguments only",
        )
    arguments = {name: describe(item, f"{where}.{name}") for name, item in value.keywords.items()}
    return {"class_path": _class_path(positional[0], where), "init_args": arguments}


def _class_path(cls: type, where: str) -> str:
    if "<locals>" in cls.__qualname__ or cls.__module__ == "__main__":
        raise CheckpointError(
            f"{where} is of the class {cls.__module__}.{cls.__qualname__}, which cannot be imported again",
            "define the class at the top level of a module",
        )
    parts = cls.__module__.split(".")
    # the shortest: what a package exports stays where it is when its files move
    for package in (".".join(parts[: end + 1]) for end in range(len(parts))):
        if getattr(sys.modules.get(package), cls.__qualname__, None) is cls:
            return f"{package}.{cls.__qualname__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def _plain_key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise CheckpointError(f"{where} has the key {key!r}", "use text for the keys of dictionaries")
    return key


def _shown(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    return repr(value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def instantiate(
    description: dict[str, Any],
    role: type[Role],
    where: str = "module",
    trust: Collection[str] = (),
    allowed_bytes: int | None = None,
) -> Role:
    """Build the object that `describe` described; weights are at their initial values.

    Args:
        description: A `class_path` and its `init_args`.
        role: Base class of the object that is asked for.
        where: What the object is, for errors.
        trust: Packages whose classes may be built for it beside the program's own; see `checkpoints.trust`.
        allowed_bytes: Most memory that its tensors may take; None for any.

    Raises:
        CheckpointError: If a class may not be built for a file, no longer exists, is not of the type that its
            place asks for, or does not take the arguments.
        ExperimentError: If a class itself refuses the arguments.
    """
    check_description(description, role, where, trust)
    limit = nullcontext() if allowed_bytes is None else AllocationLimit(allowed_bytes, where)
    try:
        parser = _parser(role)
        parsed = parser.parse_object({"part": description})
        with limit:
            return parser.instantiate(parsed).part
    except ExperimentError:
        raise
    except Exception as error:  # whatever arguments that make no sense let a constructor raise
        reason = innermost(str(error))[-_LONGEST_REASON:]
        raise CheckpointError(
            f"The {where} {description.get('class_path')} cannot be rebuilt from its description: {reason}",
            "install the version of this program that wrote it",
        ) from error


def _parser(role: type) -> Any:  # noqa: ANN401 (jsonargparse is imported late)
    """Builds a `role` from a description, and nothing that does not type-check."""
    import jsonargparse

    jsonargparse.set_parsing_settings(instantiate_subclass_spec_in_any=False)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(role, "part", required=True, fail_untyped=False)
    return parser
