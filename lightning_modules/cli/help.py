"""Help texts: a docstring's paragraphs wrapped to the terminal, its example commands kept and put last."""

import textwrap
from argparse import RawDescriptionHelpFormatter
from dataclasses import dataclass

import jsonargparse

from lightning_modules.cli.mistakes import AnsweringParser

BARE_HELP = {"--model.help": "--model", "--data.help": "--data"}
"""Options that show one class's options, and the option that chooses the class."""
DATA_MODULE = "datamodules.MaestroDataModule"


class HelpFormatter(jsonargparse.DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """jsonargparse's help, whose description and epilog are printed as they are given."""


@dataclass(frozen=True)
class HelpText:
    """A verb's docstring, taken apart.

    Attributes:
        description: Paragraphs, each wrapped.
        examples: Commands, one a line.
    """

    description: str
    examples: str

    @classmethod
    def of(cls, docstring: str, width: int = 78) -> "HelpText":
        """Paragraphs apart from indented example commands.

        Args:
            docstring: Text in which example commands are indented by two spaces.
            width: Columns of a wrapped line.
        """
        paragraphs, examples = [], []
        for block in textwrap.dedent(docstring).strip().split("\n\n"):
            lines = block.split("\n")
            text = [line for line in lines if not line.startswith("  ")]
            examples += [line for line in lines if line.startswith("  ")]
            if text:
                paragraphs.append(textwrap.fill(" ".join(text), width))
        shown = "\n".join(["examples:", *examples]) if examples else ""
        return cls("\n\n".join(paragraphs), shown)


def tool_parser(verb: str, docstring: str) -> jsonargparse.ArgumentParser:
    """A parser for a tool verb, without options yet.

    Args:
        verb: E.g. `generate`.
        docstring: Of the verb's module.
    """
    text = HelpText.of(docstring)
    return AnsweringParser(
        prog=f"lightning {verb}",
        description=text.description,
        epilog=text.examples,
        formatter_class=HelpFormatter,
    )


def with_class_of_help(arguments: list[str], models: list[str]) -> list[str]:
    """Name the class that a bare `--model.help` or `--data.help` asks about.

    jsonargparse would describe the base class, which has no options.

    Args:
        arguments: Command line without the program's name.
        models: Names of the models of this program; the first that the arguments mention, or the first.

    Returns:
        The arguments, with the class after `--data.help=`: the one that is chosen, or the default one.
    """
    completed = []
    for index, argument in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else "--"
        if argument in BARE_HELP and following.startswith("-"):
            default = DATA_MODULE if argument == "--data.help" else models[0]
            argument = f"{argument}={_chosen(arguments, BARE_HELP[argument]) or default}"
        completed.append(argument)
    return completed


def _chosen(arguments: list[str], option: str) -> str | None:
    """The value given to `option`, on the command line or as class path in a configuration file."""
    from omegaconf import OmegaConf

    found = None
    for index, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        value = value or (arguments[index + 1] if index + 1 < len(arguments) else "")
        if name == option:
            found = value
        elif name in ("--config", "-c"):
            try:
                given = OmegaConf.select(OmegaConf.load(value), f"{option.removeprefix('--')}.class_path")
            except Exception:  # whatever is wrong with the file, the parser will say
                continue
            found = given or found
    return found
