"""A group of commands, one of which is meant where none is named."""

from __future__ import annotations

from typing import Any

import click


class DefaultGroup(click.Group):
    """Commands by their first argument; any other first argument is the default command's.

    Args:
        name: of the group.
        default: the command whose options, arguments and help are also the group's.
    """

    def __init__(self, name: str, default: click.Command) -> None:
        super().__init__(name, help=default.help, params=default.params)
        self.default = default

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, and name it below the help of the default one."""
        super().add_command(cmd, name)
        lines = [f"  {key}  {each.get_short_help_str(80)}" for key, each in self.commands.items()]
        self.default.epilog = "\b\n" + "\n".join(["Commands of their own:", *lines])

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of the command that the arguments mean."""
        named = self.commands.get(args[0]) if args else None
        if named is None:
            return self.default.make_context(info_name, args, parent, **extra)
        return named.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
