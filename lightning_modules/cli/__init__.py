"""The `lightning` command: the Trainer's verbs, and one verb per file in `lightning_modules/cli/commands`."""

import argparse
import ast
import importlib
import io
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_modules.cli import commands
from lightning_modules.cli.installation import require_pair
from lightning_modules.cli.known_warnings import silence_known_warnings
from lightning_modules.cli.working_folder import let_named_modules_be_imported

_OF_WORKER = re.compile(
    r"^Caught \w+ in DataLoader worker process .*^datamodules\.errors\.\w+: (.*)", re.DOTALL | re.MULTILINE
)
"""What torch makes of an error of ours in a process that loads data: one of its own, with the traceback."""
TRUSTED, DEBUG = "LIGHTNING_TRUST", "LIGHTNING_DEBUG"
"""Environment variables that do the same for every command as `--trust` and `--debug`."""
STOPPED = 130
"""Exit status after Ctrl-C, as shells have it."""
TRUST = "trust"
TRUST_HELP = (
    "Package of your own whose classes may be built for a checkpoint, a density or a run's config; may be "
    "given more than once. LIGHTNING_TRUST=a,b does the same for every command."
)
TRAINER_VERBS = {
    "fit": "train a model",
    "validate": "score a checkpoint on the validation split",
    "test": "score a checkpoint on the test split",
    "predict": "run a checkpoint over the test split; callbacks write what it makes",
}


def main(args: list[str] | None = None) -> None:
    """Run one verb.

    Args:
        args: Command line without the program's name; from `sys.argv` if None.

    Raises:
        SystemExit: With status 1 after an error that is the user's to fix (printed without a traceback,
            unless `--debug` is given or `LIGHTNING_DEBUG` set), 2 after a mistake in the command line, 130
            after Ctrl-C.
    """
    given = sys.argv[1:] if args is None else args
    print_any_text()
    debug = "--debug" in given or bool(os.environ.get(DEBUG))
    given = [word for word in given if word != "--debug"]
    # numba, which librosa brings, unpickles its cache from where a `.numba_config.yaml` in the working folder
    # says, unless this does; empty is its own default
    os.environ.setdefault("NUMBA_CACHE_DIR", "")
    try:
        if not given or given[0] in ("-h", "--help"):
            given = []
        arguments, packages = without_trust(given)
        if not arguments:
            print(overview(), flush=True)
            return
        if arguments[0] != "doctor":  # which looks by itself, and says more
            asks_for_help = any(word in ("-h", "--help") or ".help" in word for word in arguments)
            require_pair(is_sure=arguments[0] in TRAINER_VERBS and not asks_for_help)
        with environment(packages, debug):
            run_verb(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        if debug:
            raise
        print("\nstopped; what was finished before is whole", file=sys.stderr)
        raise SystemExit(STOPPED) from None
    except BrokenPipeError:  # `lightning … | head`: nobody reads on, nor what Python still writes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        text = user_error_text(error, bool(given) and given[0] in TRAINER_VERBS)
        if text is None:
            from lightning_modules.cli.failures import request

            error.add_note(f"\n{request()}")
        if text is None or debug:
            raise
        from lightning_modules.audio.files import shown_lines

        print("error:", shown_lines(text), file=sys.stderr)
        raise SystemExit(1) from error


def print_any_text() -> None:
    """Let letters that a terminal, a pipe or a file cannot take be escaped: they must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run_verb(arguments: list[str]) -> None:
    """Hand over to the verb's module; imports happen here, so that help and mistakes are quick."""
    from lightning_modules.runs.experiments import with_experiment_files

    silence_known_warnings()
    verb = arguments[0]
    if verb in TRAINER_VERBS:
        arguments = with_experiment_files(arguments)
    let_named_modules_be_imported(arguments)
    if verb in tool_verbs():
        from lightning_modules.cli.help import tool_parser

        command = importlib.import_module(f"{commands.__name__}.{verb}")
        parser = tool_parser(verb, command.__doc__ or "")
        command.add_arguments(parser)
        parser.add_argument(f"--{TRUST}", metavar="PACKAGE", help=TRUST_HELP)
        command.run(parser.parse_args(attached(arguments[1:])))
    elif verb in TRAINER_VERBS:
        # imported so that class names can be given without their module: --model VAE
        import datamodules  # noqa: F401
        from lightning_modules.cli.trainer import TrainerCLI

        TrainerCLI.start(arguments)
    else:
        from lightning_modules.audio.files import shown_lines
        from lightning_modules.cli.mistakes import nearest

        near = nearest(verb, [*TRAINER_VERBS, *tool_verbs()])
        remedy = f"did you mean lightning {near}?" if near else "`lightning --help` lists them"
        problem = f"{verb!r} is not a verb of this program"
        print("error:", shown_lines(f"{problem}\n  What to do: {remedy}"), file=sys.stderr)
        raise SystemExit(2)


def without_trust(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Take `--trust PACKAGE` out of a command line: of a person's own words, never of a file's.

    Returns:
        The other arguments, and the packages.
    """
    from lightning_modules.cli.mistakes import ScanningParser

    scan = ScanningParser(add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    scan.add_argument(f"--{TRUST}", action="append", default=[])
    found, others = scan.parse_known_args(arguments)
    return others, found.trust


@contextmanager
def environment(packages: list[str], debug: bool) -> Iterator[None]:
    """Trust packages beside those of `LIGHTNING_TRUST`, and debug, also in processes that are started."""
    trusted = ",".join([*filter(None, [os.environ.get(TRUSTED)]), *packages])
    changes = {**({TRUSTED: trusted} if packages else {}), **({DEBUG: "1"} if debug else {})}
    former = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def attached(arguments: list[str]) -> list[str]:
    """`--options --a=1` as `--options=--a=1`: argparse would take the value for an option of its own."""
    words: list[str] = []
    for word in arguments:
        if words and words[-1] == "--options":
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def tool_verbs() -> dict[str, str]:
    """Names of the modules in `commands` and the first line of their docstrings; imports none of them."""
    found = {}
    for folder in commands.__path__:
        for module in pkgutil.iter_modules([folder]):
            tree = ast.parse((Path(folder) / f"{module.name}.py").read_text(encoding="utf-8"))
            found[module.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def overview() -> str:
    """The text that `lightning --help` prints."""
    verbs = {**TRAINER_VERBS, **tool_verbs()}
    lines = [f"  {name:<{max(map(len, verbs))}}  {text}" for name, text in verbs.items()]
    return "\n".join(
        [
            "usage: lightning VERB [--config FILE.yaml …] [--KEY VALUE …]",
            "",
            "Train, compare and extend generative models of piano sound.",
            "",
            *lines,
            "",
            "First steps:",
            "  lightning fit --config experiments/vae.yaml",
            "  lightning fit --help                     every option of a verb",
            "  lightning fit --model.help VAE           the options of one class",
            "",
            "--debug, anywhere, shows all of an error and of the warnings that are hidden otherwise.",
        ]
    )


def user_error_text(error: BaseException, is_training: bool = True) -> str | None:
    """What to tell a person of an error that is theirs to mend; None of one that nobody foresaw.

    Args:
        error: The first of our own errors that it was raised from is told; or of a library's that is known.
        is_training: Whether a verb of the Trainer raised it.
    """
    from lightning_modules.cli.failures import answer
    from lightning_modules.errors import ExperimentError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ExperimentError):
            return str(cause)
        if told := _OF_WORKER.search(str(cause)):
            return told[1].strip()
        if found := answer(cause, is_training):
            return str(found)
        cause = cause.__cause__
    return None
