"""sentiment-worker: records that keep arriving become sentiment that people can trust."""

__version__ = "0.1.0"
