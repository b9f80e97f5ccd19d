"""The `miniray` command."""

from __future__ import annotations

import sys

import click

from .config import config
from .plugins import new_plugin, plugins
from .run import run


class _Group(click.Group):
    """Loads some commands only when they are asked for: they import much."""

    late = {"demo": ("miniray.demo", "demo"), "lab": ("miniray.cli.lab", "lab"), "policy": ("miniray.cli.policy", "policy"),
            **{name: ("miniray.cli.replay", name) for name in ("record", "replay", "calibrate")},
            **{name: ("miniray.cli.look", name if name != "list" else "list_")
               for name in ("status", "list", "summary", "memory", "logs", "timeline", "why")}}

    def list_commands(self, ctx: click.Context) -> "list[str]":
        return sorted({*super().list_commands(ctx), *self.late})

    def get_command(self, ctx: click.Context, name: str) -> "click.Command | None":
        if name in self.late:
            import importlib

            module, attribute = self.late[name]
            return getattr(importlib.import_module(module), attribute)
        return super().get_command(ctx, name)

    def resolve_command(self, ctx: click.Context, args: "list[str]"):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from miniray._options import nearest

            raise click.UsageError(error.message + nearest(args[0], self.list_commands(ctx)), ctx) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Ray's programming model on a minimal C core: run programs under any store and scheduler."""
    if sys.stdout is None:  # `>&-`: what writes to it would fail with an exception of Python's
        click.echo("miniray: the standard output is closed; send it to /dev/null if nobody reads it", err=True)
        raise SystemExit(2)


@main.command()
def version() -> None:
    """Prints the version."""
    import miniray

    click.echo(f"miniray {miniray.__version__}")


main.add_command(run)
main.add_command(config)
main.add_command(plugins)
main.add_command(new_plugin)
