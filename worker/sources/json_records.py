"""What is said of records that come as JSON, wherever they come from."""

from __future__ import annotations

from worker.sources.config import SourceConfig

FIELDS = ("id", "text", "time", "author", "language")


class JsonRecords(SourceConfig):
    """Stands first among several bases: else the plain `tags` of `SourceConfig` would win."""

    records: str = "@"
    """JMESPath of the list of records in a document. Of each record, JMESPath too: id, text, time,
    author, language, tags."""
    tags: dict[str, str] | tuple[str, ...] = ()  # type: ignore[assignment]  # names, or name = path

    @property
    def tag_paths(self) -> dict[str, str]:
        """JMESPath of each tag, by its name."""
        return self.tags if isinstance(self.tags, dict) else {name: name for name in self.tags}

    def require_paths(self, *more: str) -> None:
        """Raises ValueError where one of them, or of the keys `more`, is no JMESPath."""
        from worker.sources.rows.paths import require_path  # jmespath is slow to import

        for name in ("records", *more, *FIELDS):
            if path := getattr(self, name):
                require_path(name, path)
        for name, path in self.tag_paths.items():
            require_path(f"tags.{name}", path)
