"""The sentiment function: handler, model, wire format. Knows nothing of the worker."""
