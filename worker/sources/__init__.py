"""Sources: one file a kind, behind `worker.ports.Source`."""
