"""Whether there is money left: the budgets of all sources together."""

from __future__ import annotations

from sqlalchemy import Engine

from worker.settings import Settings
from worker.states import StopReason
from worker.store.ledger import spending


def over_budget(engine: Engine, settings: Settings) -> StopReason | None:
    """The budgets of all sources together, by the day and month of UTC."""
    daily, monthly = settings.budget_daily, settings.budget_monthly
    if daily is None and monthly is None:
        return None
    today, month = spending.spent(engine, settings.prices)
    over = (daily is not None and today >= daily) or (monthly is not None and month >= monthly)
    return StopReason.BUDGET if over else None
