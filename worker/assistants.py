"""For assistants."""
