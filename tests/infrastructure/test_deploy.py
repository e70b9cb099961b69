"""The worker's own deployment: least privilege, nothing published, names that the worker knows."""

from __future__ import annotations

import json
import re
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml

from tests.infrastructure.conftest import ROOT
from worker.loading import ENVIRONMENT
from worker.settings import Settings

DEPLOY = ROOT / "deploy"
DEPLOY_SH = (ROOT / "lambda" / "deploy.sh").read_text("utf-8")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


def test_the_invoke_policy_names_one_alias() -> None:
    policy = json.loads((DEPLOY / "iam" / "invoke-policy.json").read_text("utf-8"))
    (statement,) = policy["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    assert statement["Resource"].endswith(":function:sentiment-analysis:live")
    assert "*" not in statement["Resource"]


def test_the_compose_file_is_one(tools: Path, tmp_path: Path) -> None:
    """By Compose's own schema; a misspelt key is found."""
    check = [str(tools / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, DEPLOY / "compose.yaml"], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.yaml").read_text("utf-8").replace("restart:", "restrat:"))
    done = subprocess.run([*check, wrong], capture_output=True, text=True, check=False)
    assert "restrat" in done.stdout


def test_containers_may_do_nothing_but_their_work() -> None:
    services = compose()["services"]
    for name in ("worker", "migrate", "page"):
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_is_published_is_for_this_machine_alone() -> None:
    published = {
        name: service["ports"]
        for name, service in compose()["services"].items()
        if "ports" in service
    }
    assert published == {"page": ["127.0.0.1:8090:8090"], "grafana": ["127.0.0.1:3000:3000"]}


def test_each_secret_and_file_of_the_compose_file_is_there_or_made_by_the_readme() -> None:
    readme = (DEPLOY / "README.md").read_text("utf-8")
    for name in compose()["secrets"]:
        assert name in readme
    for service in compose()["services"].values():
        for volume in service.get("volumes", ()):
            place = volume.split(":")[0]
            made = place in ("./data", "database", "metrics")
            assert made or (DEPLOY / place).exists(), place


def test_grafana_and_prometheus_find_each_other() -> None:
    services = compose()["services"]
    (source,) = yaml.safe_load((DEPLOY / "watching/grafana/datasource.yaml").read_text("utf-8"))[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    (job,) = yaml.safe_load((DEPLOY / "watching/prometheus.yaml").read_text("utf-8"))[
        "scrape_configs"
    ]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert services[host]["environment"]["SENTIMENT_HTTP"].endswith(f":{port}")
    assert services["prometheus"]["profiles"] == services["grafana"]["profiles"] == ["watching"]


def test_no_secret_is_a_variable() -> None:
    for service in compose()["services"].values():
        for name in service.get("environment", {}):
            assert name.endswith("_FILE") or not re.search("PASSWORD|SECRET|DATABASE_URL", name)


def test_the_local_lambda_is_chosen_in_words() -> None:
    named = compose()["services"]["worker"]["environment"]["LAMBDA_FUNCTION_NAME"]
    assert named == "${LAMBDA_FUNCTION_NAME:-local}"


def test_migrations_come_before_the_worker() -> None:
    services = compose()["services"]
    assert services["worker"]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"}
    }
    assert services["migrate"]["command"] == ["db", "upgrade"]


def test_the_image_runs_as_nobody_special() -> None:
    for folder in ("deploy", "lambda"):
        lines = (ROOT / folder / "Dockerfile").read_text("utf-8").splitlines()
        users = [line.split()[1] for line in lines if line.startswith("USER")]
        assert users
        assert not users[-1].startswith("0")


def test_the_unit_is_hardened_and_gives_calls_their_time() -> None:
    unit = ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they are written
    unit.read(DEPLOY / "systemd" / "sentiment-worker.service", encoding="utf-8")
    service = unit["Service"]
    assert service["NoNewPrivileges"] == service["DynamicUser"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert int(service["TimeoutStopSec"]) > Settings().grace.total_seconds()


def test_variables_are_ones_that_the_worker_knows() -> None:
    documented = (ROOT / "docs" / "operations.md").read_text("utf-8")
    lines = (DEPLOY / "env.example").read_text("utf-8").splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            assert f"`{line.split('=')[0]}`" in documented, line


def test_what_the_page_on_moving_over_names_is_there() -> None:
    """Of each table the column that says what it is here."""
    text = (ROOT / "docs" / "moving-over.md").read_text("utf-8")
    known = {name for names in ENVIRONMENT.values() for name in names}
    known |= set(re.findall(r"^    ([A-Z_]+):", DEPLOY_SH, re.MULTILINE))
    known |= set(re.findall(r"\b([A-Z_]+):[A-Z]\w+", DEPLOY_SH)) | {"LAMBDA_QUALIFIER", "NAME"}
    rows = [line.split("|")[2] for line in text.splitlines() if line.startswith("| ")]
    said = {name for row in rows for name in re.findall(r"`([A-Z][A-Z_]{3,})(?:=[^`]*)?`", row)}
    assert len(said) > 12
    assert said <= known
    for name in ("ummatics-sentiment-stack", "movie-analyzer-sentiment", "target_lang"):
        assert name in text
    for link in re.findall(r"\]\(([\w./-]+?)(?:#[\w-]+)?\)", text):
        assert (ROOT / "docs" / link).exists(), link
