"""Alerts and the dashboard: real Prometheus reads our figures, checks the rules, and answers every panel."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from api_server import Served, serving
from framehouse.config import Settings
from framehouse.ports import free_ports
from framehouse.state.measures import MEASURES, Tally, write_tally
from real_parts import ROOT, require

FOLDER = ROOT / "docker" / "observability"
RULES = FOLDER / "prometheus" / "rules" / "framehouse.yml"
DASHBOARD = FOLDER / "grafana" / "dashboards" / "framehouse.json"
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
RUNBOOK = ROOT / "docs" / "guide" / "runbook.md"
EXPRESSIONS = [
    target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", [])
]
_NAME = re.compile(r"\b(framehouse_[a-z_0-9]+|up|ALERTS)\b(?:\{([^}]*)\})?")

pytestmark = pytest.mark.real("prometheus")


def promtool(*words: str) -> str:
    if not (program := shutil.which("promtool")):
        require("prometheus", "no promtool (Debian package prometheus)")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(Settings(home=tmp_path_factory.mktemp("observed") / "home")) as running:
        tally = Tally()
        for name, measure in MEASURES.items():
            labels = dict.fromkeys(measure.labels, "x")
            if measure.buckets:
                tally.observe(name, 0.3, **labels)
            else:
                tally.count(name, 2, **labels)
        assert write_tally(running.state.engine, tally)
        yield running


@pytest.fixture(scope="module")
def prometheus(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our own configuration, asking the served API alone, once a second."""
    if not (program := shutil.which("prometheus")):
        require("prometheus", "no prometheus (Debian package prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    job = next(job for job in config["scrape_configs"] if job["job_name"] == "framehouse-api")
    (folder / "api_key").write_text("any")
    job["authorization"]["credentials_file"] = str(folder / "api_key")
    job["static_configs"] = [{"targets": [served.url.removeprefix("http://")]}]
    config["scrape_configs"] = [job]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address={address}"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not answered(f"http://{address}", 'up{job="framehouse-api"} == 1'):
            assert running.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            time.sleep(0.2)
        yield f"http://{address}"
    finally:
        running.terminate()
        running.wait(20)


def answered(url: str, expression: str) -> list[dict[str, Any]]:
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=20)
    except httpx.TransportError:
        return []
    if answer.status_code == 503:  # not ready yet
        return []
    assert answer.status_code == 200, f"{expression}: {answer.text}"
    return list(answer.json()["data"]["result"])


def test_the_rules_and_the_configuration_are_valid() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))
    promtool("check", "config", "--syntax-only", str(FOLDER / "prometheus" / "prometheus.yml"))


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    cases = FOLDER / "prometheus" / "tests" / "framehouse.test.yml"
    assert "SUCCESS" in promtool("test", "rules", str(cases))
    fired = set(re.findall(r'alertname="(\w+)"', cases.read_text()))
    assert fired == set(ALERTS), "every alert has a case in which it fires"


def test_each_alert_has_a_section_in_the_runbook_and_the_other_way_round() -> None:
    sections = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sections == list(ALERTS), "in the order of the rules"
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/guide/runbook.md#{name.lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_the_dashboard_is_what_the_script_writes() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "dashboard.py"))["dashboard"]()
    assert json.loads(DASHBOARD.read_text()) == made, "run: python scripts/dashboard.py"


def test_questions_name_what_metrics_serves(served: Served) -> None:
    text = served.ask("GET", "/metrics").text
    kinds = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    served_names = {name + part for name, kind in kinds.items() for part in parts.get(kind, ("",))} | {"up", "ALERTS"}
    asked = set()
    for expression in [*EXPRESSIONS, *(rule["expr"] for rule in ALERTS.values())]:
        for name, matchers in _NAME.findall(expression):
            asked.add(name)
            if (measure := MEASURES.get(name)) and matchers:
                assert set(re.findall(r"(\w+)[!=]?=", matchers)) <= set(measure.labels), expression
    assert asked <= served_names
    unseen = {name for name in MEASURES if not any(shown.startswith(name) for shown in asked)}
    assert not unseen, "each measure is in a panel or an alert"


def test_prometheus_answers_every_panel(prometheus: str) -> None:
    assert len(EXPRESSIONS) > 40
    for expression in EXPRESSIONS:
        answered(prometheus, expression.replace("$__rate_interval", "1m"))
    assert answered(prometheus, "max without (instance, pod) (framehouse_jobs)")
    inferred = answered(prometheus, 'framehouse_errors_total{hop="x",code="x"}')
    assert [sample["value"][1] for sample in inferred] == ["2"]
    rules = httpx.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in rules for rule in group["rules"]}
    assert set(health) == set(ALERTS) and "err" not in health.values(), rules
