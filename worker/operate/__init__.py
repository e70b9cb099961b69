"""When, and whether: schedules, budgets, backfills, signals."""
