"""PostgreSQL: tables, the journal, the ledger of runs, and what people ask of them."""
