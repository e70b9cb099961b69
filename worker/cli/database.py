"""`db`: migrations, roles and grants."""

from __future__ import annotations

from typing import Annotated

import typer

from worker import bootstrap
from worker.cli.output import WORDS, ConfigOption, VerboseOption, say, settings_for
from worker.errors import ConfigurationError, Exit
from worker.settings import Settings
from worker.store import migrate
from worker.store import roles as logins
from worker.store import search as search_index

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
        found = migrate.state(engine)
        fits = "which tolerates this version" if found.is_tolerant else "as it should be"
        say(f"The database is at {found.current}, {fits}.")


@app.command(epilog="Example:  [bold]sentiment-worker db search on[/bold]")
def search(
    what: Annotated[str, typer.Argument(metavar="on|off", help="Make the index, or drop it.")],
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Make `scores --matches` and analytics.matches() fast on millions of records, with an index.

    Runs beside a worker at work (half a minute for five million short records). Each new record
    then takes about a quarter longer to be stored; `off` undoes it. Without it searching works too,
    and takes longer.
    """
    if what not in ("on", "off"):
        raise ConfigurationError(f"{what!r} is neither on nor off.")
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with bootstrap.open_database(settings) as engine:
        migrate.require_current(engine)
        with WORDS.status("Making the index ..." if what == "on" else "Dropping the index ..."):
            search_index.switch(engine, wanted=what == "on")
    say("Searching words has its index now." if what == "on" else "The index is gone.")


_ROLES_EXAMPLES = (
    "Examples:  [bold]sentiment-worker db roles[/bold]\n\n"
    "[bold]sentiment-worker db roles --analyst ana --analyst metabase --reviewer rita[/bold]"
)


@app.command(epilog=_ROLES_EXAMPLES)
def roles(
    analyst: Annotated[
        list[str] | None,
        typer.Option(help="A login to read schema analytics; made if needed; may be repeated."),
    ] = None,
    reviewer: Annotated[
        list[str] | None,
        typer.Option(help="A login to judge drawn records as well; made if needed; repeatable."),
    ] = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Create the roles and their grants where that is allowed, and say how to use them.

    A login given with --analyst is made where there is none, and becomes an analyst's: it reads,
    and each of its questions ends after 30 s. One given with --reviewer may also judge records that
    were drawn for review (`dashboard --review`), and change nothing else. Needs the rights of an
    administrator. Safe to repeat.
    """
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with bootstrap.open_database(settings) as engine:
        migrate.require_current(engine)
        found = migrate.grant_roles(engine)
        missing = [role for role, exists in found.items() if not exists]
        for login in () if missing else analyst or ():
            made = logins.make_analyst(engine, login)
            say(f"{'Made the login' if made else 'The login'} {login!r}: it reads schema analytics,"
                " and nothing else of ours.")  # fmt: skip
            _tell_how(logins.shown_url(engine, login), login, settings)
        for login in () if missing else reviewer or ():
            made = logins.make_reviewer(engine, login)
            say(
                f"{'Made the login' if made else 'The login'} {login!r}: it reads schema analytics,"
                " judges records that were drawn for review, and does nothing else of ours."
            )
            _tell_how(logins.shown_url(engine, login), login, settings)
    for role in missing:
        say(f"Missing, and not ours to create. As an administrator: CREATE ROLE {role} NOLOGIN;")
    if missing:
        say("Then run this again for the grants.")
        raise typer.Exit(Exit.MISUSED)
    say("Roles and grants are in place. Give them to logins as an administrator:")
    say("  GRANT sentiment_worker TO my_worker_login;    -- what DATABASE_URL of the worker names")
    say("  sentiment-worker db roles --analyst my_analyst_login   -- SELECT on analytics alone")
    say("  sentiment-worker db roles --reviewer my_reviewer_login -- and to judge drawn records")


def _tell_how(url: str, login: str, settings: Settings) -> None:
    """How to connect as the login. A password in an argument could be read by everybody."""
    say(f"  connect with:  {url}")
    if settings.database_url is None:
        say(
            "  while a command runs that keeps PostgreSQL up, such as `serve` or `dashboard`;"
            " on this machine no password is asked for."
        )
    else:
        say(f'  set its password in psql, which asks for it:  \\password "{login}"')
