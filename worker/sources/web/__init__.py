"""Sources over HTTP: asking safely and politely, pages of an API, feeds."""
