"""AWS's edges: each way that credentials come, for each service, by the installed command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.acceptance.command import Shell
from tests.aws import ROLE, Aws

REGION = "eu-central-1"


@pytest.fixture
def aws(database_url: str) -> Iterator[Aws]:
    """With the database's URL in Parameter Store, a token in Secrets Manager, a file in S3."""
    with Aws() as aws:
        host, port = aws.moto
        keys = {"aws_access_key_id": "setup", "aws_secret_access_key": "setup"}
        session = boto3.Session(region_name=REGION, **keys)
        made = {name: session.client(name, endpoint_url=f"http://{host}:{port}")
                for name in ("ssm", "secretsmanager", "s3")}  # fmt: skip
        made["ssm"].put_parameter(Name="/app/DATABASE_URL", Value=database_url, Type="SecureString")
        made["secretsmanager"].create_secret(Name="page", SecretString='{"token": "hush-hush"}')
        made["s3"].create_bucket(
            Bucket="drop", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        rows = "".join(f"{n},text {n}\n" for n in range(400))
        made["s3"].put_object(Bucket="drop", Key="a.csv", Body=f"id,text\n{rows}".encode())
        for each in made.values():
            each.close()
        yield aws


def shell(folder: Path, aws: Aws, **variables: str) -> Shell:
    """Nothing of the machine's own credentials; what is called is `aws`."""
    (folder / "sentiment-worker.toml").write_text(
        'database_url = "ssm:///app/DATABASE_URL"\n'
        'dashboard_token = "secretsmanager://page#token"\n'
        'lambda_function_name = "scorer"\nchunk_texts = 10\n'
        '[[source]]\nname = "drop"\nkind = "file"\npath = "s3://drop/*.csv"\n'
    )
    return Shell(
        folder,
        AWS_ENDPOINT_URL=aws.url,
        AWS_CONFIG_FILE=str(folder / "config"),
        AWS_SHARED_CREDENTIALS_FILE=str(folder / "credentials"),
        AWS_EC2_METADATA_DISABLED="true",
        **variables,
    )


def _environment(folder: Path, aws: Aws) -> dict[str, str]:
    return {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "x"}


def _file(folder: Path, aws: Aws) -> dict[str, str]:
    written = "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n"
    (folder / "credentials").write_text(written)
    return {"AWS_DEFAULT_REGION": REGION}


def _profile(folder: Path, aws: Aws) -> dict[str, str]:
    """The region too."""
    (folder / "config").write_text(f"[profile team]\nregion = {REGION}\n")
    written = "[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = x\n"
    (folder / "credentials").write_text(written)
    return {"AWS_PROFILE": "team"}


def _web_identity(folder: Path, aws: Aws) -> dict[str, str]:
    """As a pod of EKS has it: https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html"""
    (folder / "token").write_text("a token of the cluster")
    return {
        "AWS_REGION": REGION,
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"),
    }


def _container(folder: Path, aws: Aws) -> dict[str, str]:
    """As a task of ECS has it: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
    return {
        "AWS_REGION": REGION,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{aws.url}/container",
    }


def _instance(folder: Path, aws: Aws) -> dict[str, str]:
    return {
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{aws.url}/",
    }


def _keys(folder: Path, aws: Aws) -> dict[str, str]:
    """`keys`, from a file: they reach every service, and win over what else is there."""
    (folder / "secret").write_text("x\n")
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = AKIASTRAY\naws_secret_access_key = x\n"
    )
    return {
        "AWS_REGION": REGION,
        "LAMBDA_AUTH_METHOD": "keys",
        "AWS_ACCESS_KEY_ID": "AKIAKEYS",
        "AWS_SECRET_ACCESS_KEY_FILE": str(folder / "secret"),
    }


WAYS = {
    "AKIAENV": _environment,
    "AKIAFILE": _file,
    "AKIATEAM": _profile,
    "AKIAKEYS": _keys,
    "ASIA web identity": _web_identity,
    "ASIA container": _container,
    "ASIA instance": _instance,
}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
@pytest.mark.parametrize("way", WAYS)
def test_each_way_that_credentials_come_reaches_each_service(
    way: str, tmp_path: Path, aws: Aws
) -> None:
    command = shell(tmp_path, aws)
    command.variables |= WAYS[way](tmp_path, aws)
    done = command("once")
    assert done.code == 0, done.err
    assert "400 scored by the model" in done.err
    for service in ("ssm", "secretsmanager", "s3", "lambda"):
        keys = aws.keys_of(service)
        assert keys, service
        assert all(key.startswith(way.split(maxsplit=1)[0]) for key in keys), (service, keys)
    assert {caller.region for caller in aws.callers} == {REGION}
    assert ("AWS_ACCESS_KEY_ID is set" in done.err) == (way == "AKIAENV")
    said = command("doctor").out
    assert "arn:aws:sts::123456789012:assumed-role/scorer/" in said
    assert REGION in said
    assert "Lambda scorer at AWS" in said
    assert "$LATEST" in said
    assert "hush" not in done.err + said


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
@pytest.mark.parametrize("way", ["ASIA web identity", "ASIA container"])
def test_keys_that_expire_in_the_middle_of_a_run_are_renewed(
    way: str, tmp_path: Path, aws: Aws
) -> None:
    """Not an instance's: of keys with less than a quarter of an hour to live botocore takes it that
    the metadata service has a bad time, and goes on with them."""
    aws.lifetime_s, aws.answer_after_s = 2.0, 0.25
    command = shell(tmp_path, aws, SENTIMENT_MAX_CONCURRENCY="2")
    command.variables |= WAYS[way](tmp_path, aws)
    done = command("once", "-o", "json")
    assert done.code == 0, done.err
    counters = done.data[0]["counters"]
    assert (counters["scored"], counters["provisional"]) == (400, 0)
    assert len(aws.keys_of("lambda")) > 2


def test_what_is_missing_is_named(tmp_path: Path, aws: Aws) -> None:
    nowhere = shell(tmp_path, aws)("once")
    assert nowhere.code == 2
    assert "No valid AWS region is set" in nowhere.err
    assert "Set AWS_REGION" in nowhere.err
    no_profile = shell(tmp_path, aws, AWS_REGION=REGION, AWS_PROFILE="missing")("once")
    assert no_profile.code == 2
    assert "There is no AWS profile 'missing'" in no_profile.err
    assert "Traceback" not in no_profile.err


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_a_bucket_without_its_rights_names_them(tmp_path: Path, aws: Aws) -> None:
    command = shell(tmp_path, aws, **_environment(tmp_path, aws))
    done = command("once", "s3://nowhere/exports/*.csv")
    assert done.code == 1
    assert "s3://nowhere/exports/*.csv cannot be read: NoSuchBucket" in done.err
    assert "s3:ListBucket is allowed on arn:aws:s3:::nowhere" in done.err
    assert "s3:GetObject on arn:aws:s3:::nowhere/exports/*" in done.err


def test_a_named_database_wants_a_named_function(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "a.csv").write_text("id,text\n1,I love this\n")
    bare = Shell(tmp_path, DATABASE_URL=database_url)
    for command in (("once", "a.csv"), ("doctor",), ("config", "validate")):
        done = bare(*command)
        assert done.code == 2, command
        assert "no function that scores its records" in done.err + done.out
        assert "or to `local`" in done.err + done.out
    assert bare("status").code == 0, "who only asks needs no function"
    chosen = bare("once", "a.csv", LAMBDA_FUNCTION_NAME="local")
    assert chosen.code == 0, chosen.err
    assert "Scored by the local Lambda, with the model on this machine." in chosen.err
    assert "the local Lambda" in bare("doctor", LAMBDA_FUNCTION_NAME="local").out
    for slip in ("locl", "Local"):
        refused = bare("once", "a.csv", LAMBDA_FUNCTION_NAME=slip)
        assert refused.code == 2
        assert "Did you mean 'local'" in refused.err
    by_choice = bare("once", "a.csv", USE_LAMBDA_SENTIMENT="0", LAMBDA_AUTH_METHOD="keys")
    assert by_choice.code == 0, by_choice.err
    assert "TextBlob by choice" in by_choice.err


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SENTIMENT_BUDGET_DIALY", "SENTIMENT_BUDGET_DAILY"),
        ("LAMBDA_QUALIFER", "LAMBDA_QUALIFIER"),
        ("LAMBDA_FUNCTON_NAME", "LAMBDA_FUNCTION_NAME"),
        ("USE_LAMBDA_SENTIMNT", "USE_LAMBDA_SENTIMENT"),
        ("SENTIMENT_HTTP_PORT", "SENTIMENT_HTTP"),
    ],
)
def test_a_misspelt_variable_is_refused(tmp_path: Path, variable: str, meant: str) -> None:
    command = Shell(tmp_path)
    command.variables[variable] = "1"
    done = command("config", "show")
    assert done.code == 2
    assert f"{variable} is not a setting. Did you mean {meant}?" in done.err


def test_variables_of_a_cluster_are_none_of_ours(tmp_path: Path) -> None:
    """Kubernetes puts these into each pod for a Service named sentiment-api."""
    done = Shell(tmp_path)(
        "config", "show",
        SENTIMENT_API_SERVICE_HOST="10.0.0.1", SENTIMENT_API_SERVICE_PORT="80",
        SENTIMENT_API_SERVICE_PORT_HTTP="80", SENTIMENT_API_PORT="tcp://10.0.0.1:80",
        SENTIMENT_API_PORT_80_TCP="tcp://10.0.0.1:80", SENTIMENT_API_PORT_80_TCP_ADDR="10.0.0.1",
    )  # fmt: skip
    assert done.code == 0, done.err


@pytest.mark.parametrize("command", [("doctor",), ("config", "show"), ("once",), ("serve",)])
def test_a_wrong_cron_line_is_refused_by_every_command(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "a"\nkind = "file"\npath = "a.csv"\nschedule = "61 * * * *"\n'
    )
    done = Shell(tmp_path)(*command)
    assert done.code == 2
    assert "source 'a'" in done.err + done.out
    assert "the minute '61' is not valid" in done.err + done.out
