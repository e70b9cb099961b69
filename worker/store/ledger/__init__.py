"""What has run and what may: runs, holds, cursors, pauses, plans, backfills, spending."""
