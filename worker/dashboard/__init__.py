"""Stored sentiment as a page and as a JSON API, read-only, with the analyst's rights."""
