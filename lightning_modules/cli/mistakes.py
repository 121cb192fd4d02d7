"""Mistakes in a command line, answered in a line or two: the option, what it was given, what would be valid.

jsonargparse describes a mistake by every type that a value is not, one inside the other. The innermost of
them is what a person needs to know; `--debug` shows the rest.
"""

import argparse
import difflib
import inspect
import os
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jsonargparse

from lightning_modules.checkpoints.parsing import innermost
from lightning_modules.errors import OptionError
from lightning_modules.runs.experiments import experiment_names

ROOMS = (
    "lightning_modules",
    "datamodules",
    *(
        f"lightning_modules.{room}"
        for room in "networks distributions losses schedules callbacks metrics".split()
    ),
    "torch.optim",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
)
"""Where classes are that an option may name."""
OTHER_WORDS = {"learning_rate": "lr", "epochs": "max_epochs", "steps": "max_steps", "gpus": "devices"}
"""What other programs call an option."""
EXPERIMENT = "--config experiments/vae.yaml"
_PLAIN = re.compile(
    r"<class '(int|float|bool|str|list|dict|NoneType|torch\.Tensor)'>|list\[.*|typing\.Literal.*|tuple.*"
)
_PHRASES = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'str'>": "a text",
    "<class 'NoneType'>": "null",
    "<class 'torch.Tensor'>": "",
}
_LEAST_LIKENESS = 0.6
_LIKENESS_IN_FILES = 0.8  # there it is more often an overlay of another experiment


class AnsweringParser(jsonargparse.ArgumentParser):
    """jsonargparse's parser, which answers mistakes as `answer` does."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the answer and exit with status 2."""
        if not self.exit_on_error or os.environ.get("LIGHTNING_DEBUG"):
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        from lightning_modules.audio.files import shown_lines

        print("error:", shown_lines(answer(message, parser)), file=sys.stderr)
        self.exit(2)


class ScanningParser(argparse.ArgumentParser):
    """For the few options that are read before the full parse."""

    def error(self, message: str) -> NoReturn:
        """Raise in place of printing.

        Raises:
            OptionError: Always.
        """
        found = re.search(r"argument ([^:]+): expected", message)
        name = found[1].split("/")[-1] if found else "An option"
        raise OptionError(f"{name} stands without a value", f"give one after it, or leave out {name}")


class Answer(NamedTuple):
    """What is wrong, and what to do."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}\n  What to do: {self.remedy}"


def answer(message: str, parser: jsonargparse.ArgumentParser) -> str:
    """The answer to a mistake.

    Args:
        message: What jsonargparse says of it.
        parser: Who says it.
    """
    option = "--" + ".".join(re.findall(r'Parser key "([^"]+)"', message))
    answers = (
        _unknown(message, option, parser),
        _missing(message, option, parser),
        _no_file(message, option),
    )
    found = (
        next((each for each in answers if each), None) or _value(message, option) or _class(message, option)
    )
    return str(found or Answer(innermost(message), f"see {parser.prog} --help"))


def nearest(name: str, valid: Iterable[str], least_likeness: float = _LEAST_LIKENESS) -> str | None:
    """The valid name that one was probably meant to be; None if none is like it (1 is the same)."""
    spellings = {each.lower(): each for each in valid}
    if (other := OTHER_WORDS.get(name)) in spellings:
        return other
    found = difflib.get_close_matches(name.lower(), spellings, 1, least_likeness)
    return spellings[found[0]] if found else None


def _unknown(message: str, option: str, parser: jsonargparse.ArgumentParser) -> Answer | None:
    """An option that there is not."""
    if found := re.search(r"[Uu]nrecognized arguments: (\S+)", message):
        return _unrecognised(found[1], parser)
    found = re.search(
        r"(?:Option|option) '([\w.]+)' is not accepted|does not accept option '([\w.]+)'", message
    )
    if found is None:
        return None
    name, _, rest = (found[1] or found[2]).partition(".")
    owner = _owner(message)
    if owner is None:
        key, options = found[1] or found[2], _options(parser)
        roots = sorted({each.partition(".")[0] for each in options})
        if name not in roots:
            return _not_there(
                f"{key!r}: an experiment has no section {name!r}", "", nearest(name, roots), roots
            )
        below = [each for each in options if each.startswith(f"{name}.")]
        return _not_there(f"{key!r} is no option", "", nearest(key, below), below)
    kind = owner.__name__
    if inspect.isabstract(owner) or kind == "GenerativeModule":
        return Answer(
            f"{option}.{name}: nothing says which model it is of",
            f"put it over an experiment, as in {EXPERIMENT} --config …",
        )
    valid = [each for each in inspect.signature(owner).parameters if each not in ("args", "kwargs", "params")]
    in_file = rest.startswith("init_args.")
    near = nearest(name, valid, _LIKENESS_IN_FILES if in_file else _LEAST_LIKENESS)
    if near is None and in_file:
        return Answer(
            f"{option}.{name}: {kind} has no {name!r}, so this file is not for that experiment",
            "put an overlay over the experiment that its first lines name",
        )
    return _not_there(f"{option}.{name}: {kind} has no option {name!r}", f"{option}.", near, valid)


def _not_there(problem: str, prefix: str, near: str | None, valid: list[str]) -> Answer:
    return Answer(problem, f"did you mean {prefix}{near}?" if near else f"choose from {', '.join(valid)}")


def _unrecognised(word: str, parser: jsonargparse.ArgumentParser) -> Answer:
    verb = parser.prog.rpartition(" ")[2]
    if not word.startswith("-"):
        is_file = word.endswith((".yaml", ".yml"))
        remedy = (
            f"write --config {word}" if is_file else "put the name of the option before it, as --name VALUE"
        )
        return Answer(f"{word!r} stands without an option", remedy)
    name = word.partition("=")[0].lstrip("-")
    options = _options(parser)
    last = {each.rpartition(".")[2]: each for each in reversed(options)}
    near = (
        last.get(OTHER_WORDS.get(name, name)) or nearest(name, options) or last.get(nearest(name, last) or "")
    )
    problem = f"--{name} is no option of `lightning {verb}`"
    return Answer(problem, f"did you mean --{near}?" if near else f"`lightning {verb} --help` lists them")


def _options(parser: jsonargparse.ArgumentParser) -> list[str]:
    """Names of all options of a verb, those of the data and of the models among them."""
    below = getattr(parser._subcommands_action, "_name_parser_map", None)
    if below:
        parser = next(iter(below.values()))
    names = [
        each.lstrip("-")
        for action in parser._actions
        for each in action.option_strings
        if each.startswith("--")
    ]
    own = {name for name in names if name in ("data", "model")}
    for section in sorted(own):
        module = import_module("datamodules" if section == "data" else "lightning_modules")
        for kind in module.__all__:
            found = getattr(module, kind)
            if inspect.isclass(found):
                names += [f"{section}.{each}" for each in inspect.signature(found).parameters]
    return list(dict.fromkeys(names))


def _missing(message: str, option: str, parser: jsonargparse.ArgumentParser) -> Answer | None:
    """Arguments that have to be given."""
    found = re.search(r"arguments are required: ([\w., ]+)", message)
    if found is None:
        return None
    names = found[1].strip().split(", ")
    owner = _owner(message)
    if owner is not None:
        given = f"give {', '.join(f'{option}.{name}' for name in names)}"
        if option.startswith(("--model", "--data")):
            given += f", or begin with {EXPERIMENT}"
        return Answer(f"{option}: {owner.__name__} needs {', '.join(names)}", given)
    verb, dot, _ = names[0].partition(".")
    if not dot:
        remedy = "runs/…/checkpoints/best.ckpt" if names[0] == "checkpoint" else "--help"
        return Answer(f"{parser.prog} needs {', '.join(names)}", f"{parser.prog} {remedy}")
    if verb == "fit":
        return Answer("nothing says what to train", f"lightning fit {EXPERIMENT}")
    return Answer(
        f"nothing says what to {verb}", f"lightning {verb} --ckpt_path runs/…/checkpoints/best.ckpt"
    )


def _no_file(message: str, option: str) -> Answer | None:
    """A file that is not there."""
    found = re.search(r"File does not exist: '(.+)'", message)
    if found is None:
        return None
    path = Path(os.path.relpath(found[1]))
    if path.name == "onfig":
        return Answer("-config has one hyphen", "write --config")
    folder = path.parent if path.parent.is_dir() else Path()
    near = nearest(path.name, [each.name for each in folder.iterdir()])
    known = nearest(str(path.with_suffix("")), experiment_names("**/*"))
    remedy = (
        f"did you mean {folder / near if near else known}?"
        if near or known
        else f"there are {', '.join(experiment_names())}"
    )
    return Answer(f"{option} {path}: no such file", remedy)


def _value(message: str, option: str) -> Answer | None:
    """A value of the wrong kind."""
    found = re.search(r"Expected a ([^\n]+?)\. Got value: ([^\n]*)", message)
    if found:
        kinds, value = [found[1]], found[2]
    else:
        unions = re.findall(
            r"Subtypes: \[([^\n]*)\]\n.*?Given value: ([^\n]*?)(?:\. Got value|\n|$)", message, re.DOTALL
        )
        if not unions:
            return None
        text = re.findall(r"Subtypes: \[([^\n]*)\]", message)[-1]
        value = re.findall(
            r"Given value: ([^\n]*?)(?:\. Got value|\n|$)", message[message.rindex("Subtypes: ") :]
        )[0]
        kinds = re.split(r", (?=<class|typing|list\[|tuple|collections|\w+\.)", text)
    if not all(_PLAIN.fullmatch(kind) for kind in kinds):
        return None
    choices = [each for kind in kinds if "Literal" in kind for each in re.findall(r"'([^']+)'|(\d+)", kind)]
    names = list(dict.fromkeys(text or number for text, number in choices))
    near = nearest(value, names)
    if near:
        return Answer(f"{option} is {value!r}", f"did you mean {near}? It takes {', '.join(names)}")
    phrases = [*(_phrase(kind) for kind in kinds), ", ".join(names)]
    return Answer(f"{option} is {value!r}", f"give {' or '.join(dict.fromkeys(filter(None, phrases)))}")


def _phrase(kind: str) -> str:
    if kind.startswith(("list", "<class 'list")):
        return "a list, as [1, 2]"
    return "" if "Literal" in kind else _PHRASES.get(kind, kind)


def _class(message: str, option: str) -> Answer | None:
    """A class that there is not, or that is of another kind."""
    if found := re.search(r"Not a valid subclass of (\w+)\. Got value: (\S+)", message):
        return Answer(
            f"{option}: {found[2]} is no {found[1]}",
            f"give a class that is one; `lightning fit {option}.help`",
        )
    found = re.search(
        r"Expected a dot import path string: (\S+)|class_path '([\w.]+)':\n\s+(?:module|No module)", message
    )
    if found is None:
        return None
    given = found[1] or re.findall(r"class_path '([\w.]+)':\n\s+(?:module|No module)", message)[-1]
    name, known = given.rpartition(".")[2], _classes(option)
    if name in known and name != given:
        return Answer(f"{option}: there is no {given}", f"did you mean {known[name]}?")
    if name in known:
        return Answer(f"{option}: {name} is known by its full name only", f"write {known[name]}")
    near = nearest(name, known)
    return Answer(
        f"{option}: there is no class {given}",
        f"did you mean {known[near]}?" if near else "give the import path of one, as lightning_modules.VAE",
    )


def _classes(option: str) -> dict[str, str]:
    """Class paths by name, of the rooms that an option chooses from."""
    rooms = {"--model": ROOMS[:1], "--data": ROOMS[1:2]}.get(option, ROOMS)
    known: dict[str, str] = {}
    for room in rooms:
        module = import_module(room)
        for name in getattr(module, "__all__", dir(module)):
            if name[:1].isupper():
                known.setdefault(name, f"{room}.{name}")
    return known


def _owner(message: str) -> type[Any] | None:
    """The class whose arguments are wrong: the innermost that is named."""
    found = re.findall(r"Problem with given class_path '([\w.]+)'", message)
    if "expects a function or a callable class: " in message:
        found += re.findall(r"Namespace\(class_path='([\w.]+)'", message.partition("expects a function")[2])[
            :1
        ]
    if not found:
        return None
    module, _, name = found[-1].rpartition(".")
    return getattr(sys.modules.get(module), name, None)  # the parser has imported it, if it is there
