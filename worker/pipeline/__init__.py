"""A record's way: a cycle runs a lane once; a run feeds, cuts, sends, judges and records."""
