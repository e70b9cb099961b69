"""Which function to call, and what a call gives back. Free of boto3, whose import is slow."""

from __future__ import annotations

from dataclasses import dataclass

from worker.aws import Access
from worker.records import Bill, ScorerId
from worker.settings import LOCAL_FUNCTION, Settings

AWS_CONCURRENCY = 64
"""Calls under way at most, unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class LambdaTarget:
    """Which function, where, and as whom."""

    function: str
    access: Access
    qualifier: str | None = None
    endpoint_url: str | None = None
    timeout_s: float = 60.0
    """The function's timeout; the worker waits a little longer."""
    max_concurrency: int = 64
    is_local: bool = False
    """The local Lambda, started for this."""

    @property
    def plain_scorer(self) -> ScorerId:
        """Who scored, where an answer does not name its model."""
        return ScorerId("lambda", self.function, self.qualifier or "$LATEST")

    def __str__(self) -> str:
        """For a person who asks who scores."""
        if self.is_local:
            return "the local Lambda, with the model on this machine"
        name = self.function + (f":{self.qualifier}" if self.qualifier else "")
        at_aws = f"AWS {self.access.region or 'in the region of the profile'}"
        return f"Lambda {name} at {self.endpoint_url or at_aws}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP, unverified."""

    payload: bytes
    request_id: str = ""
    """AWS's own name for the invocation, as its log has it."""
    function_error: str | None = None
    bill: Bill | None = None


def lambda_target(settings: Settings, *, local_url: str | None = None) -> LambdaTarget:
    return LambdaTarget(
        function=LOCAL_FUNCTION if local_url else settings.lambda_function_name or LOCAL_FUNCTION,
        access=Access("local") if local_url else settings.access,
        qualifier=None if local_url else settings.lambda_qualifier,
        endpoint_url=local_url or settings.aws_endpoint_url_lambda,
        timeout_s=settings.lambda_timeout,
        max_concurrency=expected_concurrency(settings),
        is_local=local_url is not None,
    )


def scorer_named(target: LambdaTarget | None) -> str:
    """Who scores, for a person."""
    return str(target) if target else "TextBlob by choice (USE_LAMBDA_SENTIMENT=0)"


def expected_concurrency(settings: Settings) -> int:
    """Calls under way at most."""
    if not settings.use_lambda_sentiment:
        return 1
    default = settings.local_environments if settings.uses_local_lambda else AWS_CONCURRENCY
    return settings.max_concurrency or default
