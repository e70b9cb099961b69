"""How rows become records: columns, ids, times."""
