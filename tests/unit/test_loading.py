from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.loading import load, without_prefix


def write(folder: Path, text: str) -> Path:
    file = folder / "worker.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_environment_over_file_over_default(tmp_path: Path) -> None:
    file = write(tmp_path, 'aws_region = "eu-west-1"\nchunk_texts = 10\n')
    loaded = load(file, {"AWS_REGION": "us-east-1"})
    assert loaded.settings.aws_region == "us-east-1"
    assert loaded.settings.chunk_texts == 10
    assert loaded.settings.max_attempts == 5
    assert loaded.origins == {"aws_region": "$AWS_REGION", "chunk_texts": str(file)}


@pytest.mark.parametrize("name", ["LAMBDA_FUNCTION_NAME", "SENTIMENT_LAMBDA_FUNCTION"])
def test_the_seeds_names_are_accepted(name: str) -> None:
    settings = load(None, {name: "f", "USE_LAMBDA_SENTIMENT": "1"}).settings
    assert settings.lambda_function_name == "f"
    assert not settings.uses_local_lambda


def test_textblob_by_choice() -> None:
    settings = load(None, {"USE_LAMBDA_SENTIMENT": "0"}).settings
    assert not settings.use_lambda_sentiment
    assert not settings.uses_local_lambda


def test_an_empty_variable_is_an_unset_one() -> None:
    assert load(None, {"LAMBDA_FUNCTION_NAME": ""}).settings.uses_local_lambda


def test_a_value_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("postgresql://u:p@h/d\n", encoding="utf-8")
    loaded = load(None, {"DATABASE_URL_FILE": str(secret)})
    assert loaded.settings.database_url is not None
    assert loaded.settings.database_url.get_secret_value() == "postgresql://u:p@h/d"
    assert loaded.origins["database_url"] == "$DATABASE_URL_FILE"


def test_keys_are_demanded_when_they_are_the_method() -> None:
    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY"):
        load(None, {"LAMBDA_AUTH_METHOD": "keys", "AWS_ACCESS_KEY_ID": "AKIA"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chunk_textz = 1", "chunk_textz"),
        ("chunk_texts = 0", "chunk_texts"),
        ('fallback_policy = "later"', "fallback"),
        ('[[source]]\nname = "a"\nkind = "ftp"', "source 'a'.*no kind of source 'ftp'"),
        ('[[source]]\nname = "a"\nkind = "file"\npath = "p"\ntag = "x"', "mean tags"),
        ('[[source]]\nname = "a"\nkind = "file"\npath = "p"\ntags = "x"', "write a list"),
        ('[[source]]\nname = "a"\nkind = "sql"\nurl = "x"', "table or query"),
        (
            '[[source]]\nname = "a"\nkind = "file"\npath = "p"\ntimezone = "Mars"',
            "no time zone",
        ),
        ("[[source]\n", "TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(write(tmp_path, text), {})


def test_a_function_of_another_region_is_refused() -> None:
    arn = "arn:aws:lambda:us-west-2:123456789012:function:sentiment"
    with pytest.raises(ConfigurationError, match="is in us-west-2, AWS_REGION is eu-central-1"):
        load(environ={"LAMBDA_FUNCTION_NAME": arn, "AWS_REGION": "eu-central-1"})


@pytest.mark.parametrize(
    "slip", ["DATABSE_URL", "DATABASE_URI", "DATABASE_ULR", "DATABASE_URLS", "AWS_REGON"]
)
def test_a_slip_of_a_name_without_our_prefix_is_refused(slip: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{slip} is not a setting. Did you mean"):
        load(environ={slip: "x"})


def test_a_likeness_of_a_name_that_is_set_is_anothers() -> None:
    load(environ={"DATABASE_URL": "postgresql://h/db", "DATABASE_URI": "x", "LOG_LEVELS": "1"})


def test_a_forgotten_prefix_is_told_of() -> None:
    assert without_prefix({"CHUNK_TEXTS": "5", "SENTIMENT_CHUNK_BYTES": "9", "HOME": "/"}) == [
        ("CHUNK_TEXTS", "SENTIMENT_CHUNK_TEXTS")
    ]


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("\n")
    with pytest.raises(ConfigurationError, match="which is empty"):
        load(environ={"DATABASE_URL_FILE": str(tmp_path / "url")})


def test_an_error_never_quotes_a_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(None, {"SENTIMENT_CHUNK_TEXTS": "hunter2", "LAMBDA_TIMEOUT": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_a_source_as_documented(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        [[source]]
        name = "reviews"
        kind = "sql"
        url = "postgresql+psycopg://app:canary@db/app"
        table = "review"
        id = "id"
        text = "body"
        time = "created_at"
        tags = ["product"]
        cursor = "updated_at"
        tie_breaker = "id"
        overlap = "10m"
        schedule = "*/15 * * * *"

        [[source]]
        name = "exports"
        kind = "file"
        path = "s3://bucket/exports/*.csv.gz"
        every = "30s"
        """,
    )
    reviews, exports = load(file, {}).settings.source
    assert reviews.layout.text == "body"
    assert exports.every is not None
    assert exports.every.total_seconds() == 30
    assert "canary" not in repr(reviews)
