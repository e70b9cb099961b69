"""Tables and queries of any database as a source."""
