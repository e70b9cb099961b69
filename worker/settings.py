"""All settings, as one frozen, validated value. `worker.loading` reads them."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    InstanceOf,
    SecretStr,
    field_validator,
    model_validator,
)

from worker import words
from worker.aws import Access
from worker.cost import Prices
from worker.durations import parse_duration
from worker.errors import ConfigurationError
from worker.sources.config import Duration, SourceConfig, Strict

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
    reviewer_token: SecretStr | None = Field(default=None, min_length=8)
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
                f"LAMBDA_FUNCTION_NAME is {name!r}. Did you mean {LOCAL!r}, the model here?",
                hint="If an AWS function really has that name, give its ARN.",
            )
        if self.database_url and self.uses_local_lambda and self.lambda_function_name != LOCAL:
            raise ConfigurationError(
                "A database is named (DATABASE_URL), and no function that scores its records.",
                hint="Set LAMBDA_FUNCTION_NAME to the function's name or ARN, or to `local` for the"
                " model on this machine; USE_LAMBDA_SENTIMENT=0 means TextBlob.",
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

    def access_to(self, function: str) -> Access:
        """The same, for another function than the one that scores."""
        return replace(self.access, region=region_in(function) or self.access.region)

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


def region_in(function: str | None) -> str | None:
    """The region inside a function's ARN; None where it is a name."""
    name = function or ""
    return name.split(":")[3] if name.startswith("arn:") and name.count(":") > 3 else None


def parse_fallback(text: str) -> float | None:
    """ "immediate" -> 0, "after:<duration>" -> seconds, "defer" -> None. Raises ValueError."""
    if text == "immediate":
        return 0.0
    if text == "defer":
        return None
    if text.startswith("after:"):
        return parse_duration(text.removeprefix("after:")).total_seconds()
    raise ValueError(f"{text!r} is no fallback policy; write immediate, defer or after:10m")
