"""Environment over `sentiment-worker.toml` over defaults -> one frozen, validated value.

Every setting may be given as NAME or as NAME_FILE (a file that holds the value: Docker and
Kubernetes secrets), and may point to Parameter Store (ssm://name) or Secrets Manager
(secretsmanager://name). Where each value came from is kept, for `config show`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from worker import words
from worker.aws import Access
from worker.errors import ConfigurationError
from worker.secrets import SCHEMES, resolve
from worker.settings import Settings, region_in
from worker.sources import kinds
from worker.sources.config import SourceConfig

DEFAULT_FILE = "sentiment-worker.toml"

_OWN_NAMES: Mapping[str, tuple[str, ...]] = {
    "lambda_function_name": ("LAMBDA_FUNCTION_NAME", "SENTIMENT_LAMBDA_FUNCTION"),
    "aws_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "log_level": ("LOG_LEVEL", "SENTIMENT_LOG_LEVEL"),
}
_AS_IT_IS = re.compile(r"(database_url|use_lambda_sentiment|(lambda|aws)_.*)")


def _variables(field: str) -> tuple[str, ...]:
    if field in _OWN_NAMES:
        return _OWN_NAMES[field]
    return (field.upper() if _AS_IT_IS.fullmatch(field) else f"SENTIMENT_{field.upper()}",)


ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    field: _variables(field) for field in Settings.model_fields if field != "source"
}
"""Each setting's variables: SENTIMENT_ and its name, but for those that others named before us."""

OTHERS = ("SENTIMENT_CONFIG", "SENTIMENT_POSTGRES_BIN")
"""Read elsewhere: by the command line, and by the embedded PostgreSQL."""

SLIP_CHARS = 10
"""Of a variable's name; shorter ones may be a letter from anybody's."""

_FOREIGN = ("LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR")
"""Set by AWS Lambda."""

_OF_A_SERVICE = re.compile(
    r"(\w+?)_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""Set by Kubernetes for each Service: one named sentiment-api makes SENTIMENT_API_PORT, and with it
SENTIMENT_API_SERVICE_HOST. https://kubernetes.io/docs/concepts/services-networking/service/"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each value came from ("default" if not listed)."""

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read the file (the default one only if it exists) and the environment (the process's, unless
    another is given).

    Raises ConfigurationError with one sentence a mistake.
    """
    environ = os.environ if environ is None else environ
    _refuse_unknown(environ)
    found = file or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None)
    values = _from_file(found) if found else {}
    origins = dict.fromkeys(values, str(found))
    for name, variables in ENVIRONMENT.items():
        for variable in variables:
            value, origin = _from_environment(variable, environ)
            if value is not None:
                values[name], origins[name] = value, origin
                break
    _resolve_secrets(values, origins)
    sources = values.get("source")
    mistakes: list[Any] = []
    if isinstance(sources, dict):
        raise ConfigurationError(
            f"{found} has [source]; each source begins with [[source]], in double brackets."
        )
    if isinstance(sources, list):
        values["source"] = [_source(number, each, mistakes) for number, each in enumerate(sources)]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        mistakes += _mistakes(error)
    if mistakes:
        raise ConfigurationError(_explain(mistakes, origins, sources)) from None
    return Loaded(settings, origins, found)


def _resolve_secrets(values: dict[str, Any], origins: Mapping[str, str]) -> None:
    """Put the secret in the place of each value that points to one."""
    access = _access(values)
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = resolve(value, origins[name], access)
    sources = values.get("source")
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict):
            for where, name in _places_of_secrets(source):
                origin = f"{name!r} of source {source.get('name')!r}"
                where[name] = resolve(where[name], origin, access)


def _places_of_secrets(source: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where in a source's configuration a value may point to a secret: its url, its headers, and
    what it says of who it is."""
    if isinstance(source.get("url"), str):
        yield source, "url"
    for group in ("headers", "auth"):
        inner = source.get(group)
        if isinstance(inner, dict):
            yield from ((inner, name) for name in [*inner] if isinstance(inner[name], str))


def _source(number: int, values: Any, mistakes: list[Any]) -> SourceConfig | None:
    """A source's configuration, by its kind; what is wrong with it is added to `mistakes`."""
    where = ("source", number)
    if not isinstance(values, dict) or "kind" not in values:
        mistakes.append({"loc": where, "type": "no_kind", "msg": ""})
        return None
    try:
        return kinds.find(str(values["kind"])).config.model_validate(values)
    except ConfigurationError as error:
        mistakes.append(
            {"loc": (*where, "kind"), "type": "kind", "msg": f"{error} {error.hint}".rstrip(". ")}
        )
        return None
    except ValidationError as error:
        mistakes += [each | {"loc": (*where, *each["loc"])} for each in _mistakes(error)]
        return None


def _mistakes(error: ValidationError) -> list[Any]:
    """Without the values that were given: they may be secrets. Of a source that is wrong, its own
    mistakes say more than that there is none."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [dict(each) for each in found if each["type"] != "is_instance_of"]


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """Raise ConfigurationError for a variable that looks like ours and is no setting: it would be
    ignored, and with it a budget, or the function's name."""
    known = [name for names in ENVIRONMENT.values() for name in names]
    known += [f"{name}_FILE" for name in known] + list(OTHERS)
    ours = (n for n in environ if n.startswith(("SENTIMENT_", "LAMBDA_", "USE_LAMBDA_")))
    strange = sorted(n for n in ours if n not in known and not _is_foreign(n, environ))
    # Of names without our prefix, slips: DATABSE_URL would be another database.
    without = [n for n in known if len(n) >= SLIP_CHARS and n not in environ]
    strange += sorted(
        n for n in environ if n not in strange and any(words.is_slip(n, each) for each in without)
    )
    if strange:
        sentences = []
        for name in strange:
            meant = words.nearest(name, known)
            question = f" Did you mean {meant}?" if meant else ""
            sentences.append(f"{name} is not a setting.{question}")
        raise ConfigurationError(
            " ".join(sentences),
            hint="Correct its name, or unset it. docs/operations.md lists the settings.",
        )


def without_prefix(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that lack our prefix and are settings with it, and what was meant. They may be
    somebody else's, so they are told of, and not refused."""
    prefix = "SENTIMENT_"
    ours = sorted(n for names in ENVIRONMENT.values() for n in names if n.startswith(prefix))
    bare = ((name.removeprefix(prefix), name) for name in ours)
    return [(n, meant) for n, meant in bare if len(n) >= SLIP_CHARS and n in environ]


def _is_foreign(name: str, environ: Mapping[str, str]) -> bool:
    found = _OF_A_SERVICE.fullmatch(name)
    return name in _FOREIGN or (found is not None and f"{found[1]}_SERVICE_HOST" in environ)


def _access(values: Mapping[str, Any]) -> Access:
    """What `Settings.access` will be, for the secrets that the settings point to."""

    def text(name: str) -> str | None:
        value = str(values.get(name) or "")
        # A key that is itself a pointer is read with what the standard chain gives.
        return value if value and not value.startswith(SCHEMES) else None

    keys = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    with_keys = values.get("lambda_auth_method") == "keys"
    region = text("aws_region") or region_in(text("lambda_function_name"))
    return Access(region, *(text(name) if with_keys else None for name in keys))


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"The configuration {path} cannot be read: {error.strerror}.",
            hint="Check the path given with --config.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The configuration {path} is not valid TOML: {error}.",
            hint="Each source begins with [[source]], in double brackets; texts are in quotes.",
        ) from error


def _from_environment(variable: str, environ: Mapping[str, str]) -> tuple[str | None, str]:
    """An empty variable is an unset one: compose files pass those through."""
    if environ.get(variable):
        return environ[variable], f"${variable}"
    pointer = environ.get(f"{variable}_FILE")
    if not pointer:
        return None, ""
    try:
        value = Path(pointer).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{variable}_FILE points to {pointer}, which cannot be read.",
            hint="Check that the secret is mounted and readable.",
        ) from error
    if not value:
        raise ConfigurationError(
            f"{variable}_FILE points to {pointer}, which is empty.",
            hint="Check that the secret has a value.",
        )
    return value, f"${variable}_FILE"


PLAIN = {
    "extra_forbidden": "there is no such setting",
    "tuple_type": 'write a list, like ["airline"]',
    "no_kind": f"kind is missing: {', '.join(kinds.OURS)}, or another of `sources kinds`",
    "missing": "is missing",
}
"""Instead of pydantic's own words."""


def _place(loc: Sequence[int | str], sources: Any) -> str:
    """`source 'reviews': tags` rather than `source.0.tags`."""
    if len(loc) < 2 or loc[0] != "source" or not isinstance(loc[1], int):
        return ".".join(str(part) for part in loc)
    source = sources[loc[1]] if isinstance(sources, list) and loc[1] < len(sources) else {}
    named = source.get("name") if isinstance(source, dict) else None
    rest = ".".join(str(part) for part in loc[2:])
    return f"source {named or loc[1] + 1!r}" + (f": {rest}" if rest else "")


def _meant(loc: Sequence[int | str], sources: Any) -> str:
    """The setting that was probably meant."""
    known: Collection[str] = Settings.model_fields
    if len(loc) > 1 and isinstance(loc[1], int):
        known = kinds.find(sources[loc[1]]["kind"]).config.setting_names()
    meant = words.nearest(str(loc[-1]), known)
    return f" (did you mean {meant}?)" if meant else ""


def _explain(mistakes: Sequence[Any], origins: Mapping[str, str], sources: Any) -> str:
    """One sentence a mistake, with where it stands; never the value, it may be a secret."""
    sentences = []
    for mistake in mistakes:
        where = _place(mistake["loc"], sources)
        origin = origins.get(str(mistake["loc"][0]) if mistake["loc"] else "", "")
        message = PLAIN.get(mistake["type"], mistake["msg"].removeprefix("Value error, "))
        if mistake["type"] == "extra_forbidden":
            message += _meant(mistake["loc"], sources)
        place = f"{where} ({origin}): " if origin else f"{where}: " if where else ""
        sentences.append(f"{place}{message}")
    return "The configuration is wrong. " + "; ".join(sentences) + "."
