"""The alert rules and the dashboard: checked by promtool, about metrics that exist, explained."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infrastructure.conftest import ROOT
from worker.web import metrics

WATCHING = ROOT / "deploy" / "watching"
OURS = re.compile(r"\bsentiment_\w+")
UP = "sentiment_database_up"


def known() -> set[str]:
    """Every metric that the worker shows, read from the code that shows it."""
    text = Path(metrics.__file__).read_text("utf-8")
    named = set(re.findall(r'"(sentiment_\w+)"', text))
    counters = {name for name, _ in metrics.COUNTERS.values()}
    return (named - counters) | {f"{name}_total" for name in counters}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((WATCHING / "alerts.yaml").read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> list[str]:
    board = json.loads((WATCHING / "grafana.json").read_text("utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "alerts.yaml"),
        ("test", "rules", "alerts_test.yaml"),
        ("check", "config", "prometheus.yaml"),
    ],
)
def test_promtool_finds_no_fault(tools: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [tools / "promtool", *command], cwd=WATCHING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried(tools: Path) -> None:
    text = (WATCHING / "alerts_test.yaml").read_text("utf-8")
    tried = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", text))
    assert tried == {rule["alert"] for rule in rules()}


def test_the_dashboards_expressions_can_be_read(tools: Path, tmp_path: Path) -> None:
    made = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(expressions())]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]}))
    done = subprocess.run(
        [tools / "promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_are_about_metrics_that_exist() -> None:
    used = {
        name
        for text in (*expressions(), *(rule["expr"] for rule in rules()))
        for name in OURS.findall(text)
    }
    assert UP in used
    assert used <= known()


def test_every_alert_has_its_section() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    sections = {line[4:].strip().lower() for line in text.splitlines() if line.startswith("### ")}
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        assert anchor == rule["alert"].lower()
        assert anchor in sections
