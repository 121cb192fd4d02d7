"""Say what this machine has, what is missing, and what to run next.

  lightning doctor
  lightning doctor --json true

Nothing is written, downloaded or trained. Exit status 0: everything that training needs is there; 1: a line
is marked as an error and says what to do.
"""

import json

import jsonargparse

from lightning_modules.cli.machine import Check, Level, examine, next_command

_MARKS = {Level.OK: ("ok", "green"), Level.WARNING: ("!", "yellow"), Level.ERROR: ("x", "bold red")}


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "--json", type=bool, default=False, nargs="?", const=True, help="Print JSON, for scripts."
    )
    parser.add_argument(
        "--cache_dir", type=str | None, help="Where caches are kept (default: MAESTRO_CACHE, else ~/.cache)."
    )
    parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of all experiments.")


def run(options: jsonargparse.Namespace) -> None:
    """Look, and print.

    Raises:
        SystemExit: With status 1 if there is an error.
    """
    findings = examine(options.cache_dir, options.runs_dir)
    command = next_command(findings, options.runs_dir)
    if options.json:
        print(json.dumps({"findings": [each._asdict() for each in findings], "next": command}, indent=2))
    else:
        show(findings, command)
    if any(each.level is Level.ERROR for each in findings):
        raise SystemExit(1)


def show(findings: list[Check], command: str) -> None:
    """One screen: a table of the findings, then what to run."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(width=2)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for each in findings:
        mark, style = _MARKS[each.level]
        text = escape(each.value) + (f"\n[dim]{escape(each.remedy)}[/dim]" if each.remedy else "")
        table.add_row(f"[{style}]{mark}[/{style}]", each.name, text)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"\n[bold]Next:[/bold] {escape(command)}", soft_wrap=True)
