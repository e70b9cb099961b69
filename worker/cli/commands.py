"""All commands, by who uses them. A command's module is imported when it is called: most of them
need SQLAlchemy, which takes as long to import as `--help` takes to print."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

RUN, ASK, OPERATE, SET_UP = "Run", "Ask", "Operate", "Set up"


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    module: str
    """Beside this one. It has an `app` of several commands, or `register`s its one."""
    panel: str
    about: str
    """The first sentence of its help; a test holds the two together."""


LISTED = (
    Listed("once", "once", RUN,
           "Pull what is new, score it, store it, and end: one cycle, for cron and CronJobs."),
    Listed("serve", "serve", RUN,
           "Run every source on its schedule until told to stop (SIGTERM, Ctrl-C)."),
    Listed("score", "score", RUN,
           "Score texts with the function that the settings name, in one call; nothing is stored."),
    Listed("backfill", "backfill", RUN, "Score again what is stored: planned, priced, stoppable."),
    Listed("rescore", "rescore", RUN,
           "Score what is stored by another model version, side by side; compare; promote."),
    Listed("scores", "scores", ASK, "Current sentiment, one row a record."),
    Listed("terms", "terms", ASK,
           "What is said more in some records than in others: words and phrases."),
    Listed("report", "report", ASK,
           "How a period was against the one before, what moved it, and how far to trust it."),
    Listed("sql", "sql", ASK, "Ask schema analytics in SQL, also of the embedded database."),
    Listed("dashboard", "dashboard", ASK,
           "Serve the page, and the JSON API under /api/v1, until told to stop (Ctrl-C)."),
    Listed("mcp", "mcp", ASK,
           "Serve the analyst's questions to an assistant, over the Model Context Protocol."),
    Listed("override", "override", ASK, "Correct what the machine said of a record."),
    Listed("review", "review", ASK,
           "Put a sample of records before people, and measure the machine by what they say."),
    Listed("model", "model", ASK, "The model learns from what people corrected."),
    Listed("status", "look", OPERATE,
           "What is there, what waits and how the last runs ended, by source."),
    Listed("runs", "runs", OPERATE, "The ledger of runs."),
    Listed("quarantine", "quarantine", OPERATE,
           "Rows that could not be read, and records that the model could not score."),
    Listed("schedule", "schedule", OPERATE, "When sources run, and pausing them."),
    Listed("state", "state", OPERATE, "Where sources stand: see it, set it, rewind it."),
    Listed("cost", "cost", OPERATE,
           "What calls have cost, by Lambda's own report lines, and what some would."),
    Listed("demo", "demo", SET_UP,
           "Score the made-up sample with the real model, in an embedded PostgreSQL, and show it."),
    Listed("init", "onboarding", SET_UP,
           "Write the first sentiment-worker.toml: what `sources try` finds at a place."),
    Listed("doctor", "doctor", SET_UP,
           "Check configuration, database, migrations, Lambda, model, TextBlob and sources."),
    Listed("sources", "sources", SET_UP,
           "Which kinds of sources there are; what is held of one, and taking it away."),
    Listed("config", "config", SET_UP, "What is set, and where each value came from."),
    Listed("db", "database", SET_UP, "Migrations, roles and grants."),
    Listed("lambda", "lambda_", SET_UP, "The sentiment function: on this machine, and measured."),
)  # fmt: skip


class Commands(TyperGroup):
    """Lists all commands, and imports the one that is called."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.commands = {
            each.name: TyperCommand(each.name, help=each.about, rich_help_panel=each.panel)
            for each in LISTED
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        for each in LISTED:
            if args and each.name == args[0]:
                self.commands[each.name] = load(each)
        return super().resolve_command(ctx, args)


def load(listed: Listed) -> Any:
    """The command itself."""
    module = import_module(f"worker.cli.{listed.module}")
    if hasattr(module, "app"):
        group = get_group(module.app)
        group.name = listed.name
        return group
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    module.register(alone)
    return get_command(alone)
