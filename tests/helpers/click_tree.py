"""What a command line offers, read from its tree of commands."""

from collections.abc import Iterable

import click


def commands_of(root: click.Command, path: str = "") -> list[str]:
    """Every command that does something by itself, such as ``chain status``."""
    if not isinstance(root, click.Group):
        return [path]
    context = click.Context(root)
    found = ((name, root.get_command(context, name)) for name in root.list_commands(context))
    return [leaf for name, child in found if child for leaf in commands_of(child, f"{path} {name}".strip())]


def without_a_run(root: click.Command, runs: Iterable[str]) -> list[str]:
    """Commands that nobody runs, and runs of commands that are gone."""
    return sorted(set(commands_of(root)) ^ set(runs))
