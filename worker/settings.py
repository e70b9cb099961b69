"""Environment over `sentiment-worker.toml` over defaults -> one frozen, validated value.

Every setting may be given as NAME or as NAME_FILE (a file that holds the value: Docker and
Kubernetes secrets), and may point to Parameter Store (ssm://name) or Secrets Manager
(secretsmanager://name). Where each value came from is kept, for `config show`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    InstanceOf,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from worker import words
from worker.aws import Access
from worker.cost import Prices
from worker.durations import parse_duration
from worker.errors import ConfigurationError
from worker.secrets import SCHEMES, resolve
from worker.sources import kinds
from worker.sources.config import Duration, SourceConfig, Strict

DEFAULT_FILE = "sentiment-worker.toml"
LOCAL_FUNCTION = "sentiment"
"""The name that the local Lambda answers to."""

LOCAL = "local"
"""What LAMBDA_FUNCTION_NAME says where the local Lambda is meant."""


class Settings(Strict):
    """All settings. The environment's names are in `ENVIRONMENT`; the file's are the fields'."""

    database_url: SecretStr | None = None
    home: Path = Path(".sentiment-worker")
    use_lambda_sentiment: bool = True
    lambda_function_name: str | None = None
    lambda_qualifier: str | None = None
    lambda_auth_method: Literal["iam", "keys"] = "iam"
    lambda_timeout: float = Field(default=60.0, ge=1, le=900)
    aws_region: str | None = None
    aws_endpoint_url_lambda: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    max_concurrency: int | None = Field(default=None, ge=1, le=1000)
    backfill_share: float = Field(default=0.25, ge=0.01, le=0.99)
    local_environments: int = Field(default_factory=lambda: os.cpu_count() or 2, ge=1, le=64)
    chunk_texts: int = Field(default=50, ge=1, le=1000)
    chunk_bytes: int = Field(default=1024 * 1024, ge=4096, le=6_000_000)
    # 6 MB is Lambda's limit of a request:
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    fallback_policy: str = "immediate"
    max_attempts: int = Field(default=5, ge=1, le=100)
    circuit_window: Duration = timedelta(seconds=30)
    lease: Duration = timedelta(seconds=120)
    grace: Duration = timedelta(seconds=25)
    runs_at_once: int = Field(default=8, ge=1, le=200)
    database_patience: Duration = timedelta(seconds=60)
    price_gb_second: float = Field(default=Prices().gb_second, ge=0, allow_inf_nan=False)
    price_request: float = Field(default=Prices().request, ge=0, allow_inf_nan=False)
    prices_read_on: date = Prices().read_on
    budget_daily: float | None = Field(default=None, gt=0)
    budget_monthly: float | None = Field(default=None, gt=0)
    http: str = "127.0.0.1:9464"
    dashboard_token: SecretStr | None = Field(default=None, min_length=8)
    dashboard_user_header: str | None = None
    traces: Literal["off", "otlp"] = "off"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    source: tuple[InstanceOf[SourceConfig], ...] = ()

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("http")
    @classmethod
    def _address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value != "off" and not (host and port.isdecimal() and int(port) < 65_536):
            raise ValueError("write host:port, like 127.0.0.1:9464, or off")
        return value

    @field_validator("fallback_policy")
    @classmethod
    def _known_policy(cls, value: str) -> str:
        parse_fallback(value)
        return value

    @model_validator(mode="after")
    def _keys_are_complete(self) -> Settings:
        keys = self.aws_access_key_id and self.aws_secret_access_key
        if self.use_lambda_sentiment and self.lambda_auth_method == "keys" and not keys:
            raise ValueError(
                "LAMBDA_AUTH_METHOD=keys needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        there = region_in(self.lambda_function_name)
        if self.calls_aws and there and self.aws_region and self.aws_region != there:
            raise ValueError(
                f"LAMBDA_FUNCTION_NAME is in {there}, AWS_REGION is {self.aws_region}:"
                " which of them?"
            )
        names = [source.name for source in self.source]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two sources are named {', '.join(doubled)}")
        if self.lease.total_seconds() < 3:
            raise ValueError("lease must be 3s or more")
        return self

    @property
    def uses_local_lambda(self) -> bool:
        """The local Lambda is named, or neither a function nor an endpoint is."""
        named = self.lambda_function_name or self.aws_endpoint_url_lambda
        return self.use_lambda_sentiment and (self.lambda_function_name == LOCAL or not named)

    @property
    def calls_aws(self) -> bool:
        """A function at AWS is called, and not at an endpoint that was named."""
        elsewhere = self.uses_local_lambda or self.aws_endpoint_url_lambda
        return self.use_lambda_sentiment and not elsewhere

    def require_scorer(self) -> None:
        """Raises ConfigurationError where a database is named and no function: the local Lambda is
        chosen, never fallen into, since its scores would be stored as final ones."""
        name = self.lambda_function_name or ""
        if words.is_slip(name.lower(), LOCAL) or (name != LOCAL and name.lower() == LOCAL):
            raise ConfigurationError(
                f"LAMBDA_FUNCTION_NAME is {name!r}. Did you mean {LOCAL!r}, the small model here?",
                hint="If an AWS function really has that name, give its ARN.",
            )
        if self.database_url and self.uses_local_lambda and self.lambda_function_name != LOCAL:
            raise ConfigurationError(
                "A database is named (DATABASE_URL), and no function that scores its records.",
                hint="Set LAMBDA_FUNCTION_NAME to the function's name or ARN, or to `local` for the"
                " small model on this machine; USE_LAMBDA_SENTIMENT=0 means TextBlob.",
            )

    @property
    def access(self) -> Access:
        """Where, and as whom, AWS is called: keys only where they are the method."""
        secret, token = self.aws_secret_access_key, self.aws_session_token
        with_keys = self.lambda_auth_method == "keys"
        return Access(
            region=self.aws_region or region_in(self.lambda_function_name),
            access_key_id=self.aws_access_key_id if with_keys else None,
            secret_access_key=secret.get_secret_value() if with_keys and secret else None,
            session_token=token.get_secret_value() if with_keys and token else None,
        )

    @property
    def database_patience_s(self) -> float:
        return self.database_patience.total_seconds()

    @property
    def prices(self) -> Prices:
        return Prices(self.price_gb_second, self.price_request, self.prices_read_on)

    @property
    def fallback_after_s(self) -> float | None:
        """Age of a record from which TextBlob may speak; None: never."""
        return parse_fallback(self.fallback_policy)


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


def region_in(function: str | None) -> str | None:
    """The region inside a function's ARN; None where it is a name."""
    name = function or ""
    return name.split(":")[3] if name.startswith("arn:") and name.count(":") > 3 else None


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
    """Put the secret in the place of each value that points to one; of sources, the url."""
    access = _access(values)
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = resolve(value, origins[name], access)
    sources = values.get("source")
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict) and isinstance(source.get("url"), str):
            origin = f"the url of source {source.get('name')!r}"
            source["url"] = resolve(source["url"], origin, access)


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


def parse_fallback(text: str) -> float | None:
    """ "immediate" -> 0, "after:<duration>" -> seconds, "defer" -> None. Raises ValueError."""
    if text == "immediate":
        return 0.0
    if text == "defer":
        return None
    if text.startswith("after:"):
        return parse_duration(text.removeprefix("after:")).total_seconds()
    raise ValueError(f"{text!r} is no fallback policy; write immediate, defer or after:10m")


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
        known = kinds.find(sources[loc[1]]["kind"]).config.model_fields
    return _question(words.nearest(str(loc[-1]), known))


def _question(meant: str | None) -> str:
    return f"; did you mean {meant}?" if meant else ""


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
