"""The durable truth: records, chunks, leases, fences, scores. A step is a transaction."""
