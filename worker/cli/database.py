"""`db`: migrations, roles and grants."""

from __future__ import annotations

from typing import Annotated

import typer

from worker import bootstrap
from worker.cli.output import ConfigOption, VerboseOption, say, settings_for
from worker.errors import Exit
from worker.store import migrate

app = typer.Typer(help="Migrations, roles and grants.", no_args_is_help=True)


@app.command(
    epilog="Example:  [bold]DATABASE_URL=postgresql://... sentiment-worker db upgrade[/bold]"
)
def upgrade(
    revision: Annotated[str, typer.Argument(help="Where to.")] = "head",
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Bring the database to this version's schema. Safe to repeat."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with bootstrap.open_database(settings) as engine:
        before = migrate.state(engine)
        migrate.upgrade(engine, revision)
        after = migrate.state(engine)
    if before.current == after.current:
        say(f"The database is at {after.current} already.")
    else:
        say(f"The database went from {before.current or 'nothing'} to {after.current}.")


@app.command(epilog="Example:  [bold]sentiment-worker db downgrade 0006[/bold]")
def downgrade(
    revision: Annotated[str, typer.Argument(help="Where back to; `base` drops everything.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Go back to an earlier schema. Drops what later migrations made, and what is in it."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    if not yes:
        typer.confirm(f"Go back to {revision} and drop what came later, data included?", abort=True)
    with bootstrap.open_database(settings) as engine:
        migrate.downgrade(engine, revision)
        say(f"The database is at {migrate.state(engine).current or 'nothing'}.")


@app.command(epilog="Example:  [bold]sentiment-worker db check || echo migrate first[/bold]")
def check(config: ConfigOption = None, verbose: VerboseOption = False) -> None:
    """Say whether the schema is this version's. Exit code 2 if it is not."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with bootstrap.open_database(settings) as engine:
        migrate.require_current(engine)
        say(f"The database is at {migrate.state(engine).head}, as it should be.")


@app.command(epilog="Example:  [bold]sentiment-worker db roles[/bold]")
def roles(config: ConfigOption = None, verbose: VerboseOption = False) -> None:
    """Create the three roles and their grants where that is allowed, and say how to use them."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with bootstrap.open_database(settings) as engine:
        migrate.require_current(engine)
        found = migrate.grant_roles(engine)
    missing = [role for role, exists in found.items() if not exists]
    for role in missing:
        say(f"Missing, and not ours to create. As an administrator: CREATE ROLE {role} NOLOGIN;")
    if missing:
        say("Then run this again for the grants.")
        raise typer.Exit(Exit.MISUSED)
    say("Roles and grants are in place. Give them to logins as an administrator:")
    say("  GRANT sentiment_worker TO my_worker_login;    -- what DATABASE_URL of the worker names")
    say("  GRANT sentiment_analyst TO my_analyst_login;  -- SELECT on schema analytics alone")
