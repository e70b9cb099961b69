"""The chart, rendered by the real Helm: its examples against Kubernetes's own schemas, what every
pod may do, what each value leads to, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from tests.infrastructure import helm_table
from tests.infrastructure.conftest import ROOT
from worker import loading
from worker.settings import Settings
from worker.web.guard import ALIVE

CHART = helm_table.CHART
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
VERSIONS = ("1.29", "1.31", "1.34", "1.37")
OF_OTHERS = ("ExternalSecret", "ServiceMonitor", "PrometheusRule", "ScaledObject",
             "TriggerAuthentication")  # fmt: skip
"""Kinds that Kubernetes itself does not know."""

BESIDE = {
    "database_url", "lambda_function_name", "lambda_qualifier", "lambda_auth_method",
    "lambda_timeout", "aws_region", "aws_access_key_id", "aws_secret_access_key",
    "aws_session_token", "grace", "http", "dashboard_token", "dashboard_user_header",
    "reviewer_token", "home",
}  # fmt: skip
"""Settings that have a value of their own, or are secrets, or make no sense in a pod."""

_VALIDATE = """
import json, sys
import kubernetes_validate as k
for version, item in json.load(sys.stdin):
    try:
        k.validate(item, version, strict=True)
    except k.ValidationError as error:
        at = ".".join(map(str, error.path))
        print(version, item["kind"], item["metadata"]["name"], at, error.message)
"""

Values = dict[str, Any]
Item = dict[str, Any]


class Helm:
    def __init__(self, program: Path, scratch: Path) -> None:
        self._program = program
        self._scratch = scratch

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={"HOME": str(self._scratch), "PATH": os.environ["PATH"]},
            check=False,
        )

    def render(self, example: str = "iam", *changes: str, release: str = "scores") -> list[Item]:
        done = self.tried(example, *changes, release=release)
        assert done.returncode == 0, done.stderr
        return [item for item in yaml.safe_load_all(done.stdout) if item]

    def tried(
        self, example: str, *changes: str, release: str = "scores"
    ) -> subprocess.CompletedProcess[str]:
        said = [part for change in changes for part in ("--set-json", change)]
        file = CHART / "examples" / f"{example}.yaml"
        return self("template", release, CHART, "--namespace", "n", "--values", file, *said)


@pytest.fixture(scope="session")
def helm(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tools / "helm", tmp_path_factory.mktemp("helm"))


def one(items: list[Item], kind: str, name: str | None = None) -> Item:
    found: Item
    (found,) = [i for i in items if i["kind"] == kind and name in (None, i["metadata"]["name"])]
    return found


def kinds(items: list[Item]) -> set[str]:
    return {item["kind"] for item in items}


def pods(items: list[Item]) -> Iterator[tuple[str, Item]]:
    """Every pod's specification, by whose it is."""
    for item in items:
        spec = item.get("spec", {})
        match item["kind"]:
            case "Deployment" | "Job":
                yield item["metadata"]["name"], spec["template"]["spec"]
            case "CronJob":
                yield item["metadata"]["name"], spec["jobTemplate"]["spec"]["template"]["spec"]
            case "Pod":
                yield item["metadata"]["name"], spec


def containers(pod: Item) -> list[Item]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def variables(container: Item) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def worker(items: list[Item]) -> Item:
    found: Item
    (found,) = [c for _, pod in pods(items) for c in pod["containers"] if c["name"] == "worker"]
    return found


# -- as a whole --------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_lint(helm: Helm, example: Path) -> None:
    done = helm("lint", "--strict", CHART, "--values", example)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_object_of_every_example_is_one_to_four_versions_of_kubernetes(
    helm: Helm, tools: Path
) -> None:
    items = [item for path in EXAMPLES for item in helm.render(path.stem)]
    assert kinds(items) >= set(OF_OTHERS)
    plain = [item for item in items if item["kind"] not in OF_OTHERS]
    assert len(plain) > 30
    asked = json.dumps([(version, item) for version in VERSIONS for item in plain])
    done = subprocess.run([tools / "python", "-c", _VALIDATE], input=asked, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout == ""


def test_what_is_no_object_is_found(helm: Helm, tools: Path) -> None:
    """The check above can fail."""
    wrong = helm.render()[0] | {"dta": {}}
    asked = json.dumps([("1.35", wrong)])
    done = subprocess.run([tools / "python", "-c", _VALIDATE], input=asked, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert "dta" in done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_names_and_labels(helm: Helm, example: Path) -> None:
    items = helm.render(example.stem, release=f"long-{'x' * 48}")
    seen = set()
    for item in items:
        name, labels = item["metadata"]["name"], item["metadata"]["labels"]
        assert len(name) <= 52  # a CronJob's
        assert (item["kind"], name) not in seen
        seen.add((item["kind"], name))
        assert labels["app.kubernetes.io/name"] == "sentiment-worker"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"].startswith("sentiment-worker-")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_configuration_is_one_that_the_worker_takes(
    helm: Helm, example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVIEWS_URL", "postgresql://elsewhere/d")
    items = helm.render(example.stem)
    file = tmp_path / "sentiment-worker.toml"
    file.write_text(one(items, "ConfigMap")["data"]["sentiment-worker.toml"])
    said = variables(worker(items)) | {"SENTIMENT_CONFIG": str(file)}
    secrets = {"DATABASE_URL": "postgresql://h/d", "AWS_ACCESS_KEY_ID": "k",
               "AWS_SECRET_ACCESS_KEY": "s"}  # fmt: skip
    for name in list(said):
        if (plain := name.removesuffix("_FILE")) in secrets or name in secrets:
            del said[name]
            said[plain] = secrets[plain]
        elif isinstance(said[name], dict):
            said[name] = "postgresql://elsewhere/d"
    settings = loading.load(file, said).settings
    assert settings.source
    assert settings.lambda_function_name


def test_the_readme_says_what_the_values_say() -> None:
    assert (CHART / "README.md").read_text("utf-8") == helm_table.readme()


def test_every_value_is_described_and_in_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    described = helm_table.described()

    def look(at: str, value: Any, said: Item) -> None:
        known = said["properties"]
        assert set(value) == set(known) - {"global"}, at
        assert said["additionalProperties"] is False, at
        for name, each in value.items():
            path = f"{at}.{name}" if at else name
            if "properties" in known[name] and path != "settings":
                look(path, each, known[name])
            else:
                assert path in described

    look("", values, schema)


def test_the_settings_are_the_workers() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    known = {loading.ENVIRONMENT[field][0] for field in Settings.model_fields
             if field != "source" and field not in BESIDE}  # fmt: skip
    assert set(schema["properties"]["settings"]["properties"]) == known
    assert set(loading.ENVIRONMENT) >= BESIDE


def test_the_rules_are_those_of_the_folder_beside(helm: Helm) -> None:
    rule = one(helm.render("iam"), "PrometheusRule")
    rules = yaml.safe_load((ROOT / "deploy/watching/alerts.yaml").read_text("utf-8"))
    assert rule["spec"] == rules
    assert rule["metadata"]["labels"]["release"] == "prometheus"


def test_what_keda_asks_is_a_question_of_the_schema(helm: Helm, database_url: str) -> None:
    items = helm.render("argocd")
    query = one(items, "ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text(query)).scalar() == 0
    engine.dispose()


# -- what a pod may do -------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_pod_is_restricted(helm: Helm, example: Path) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    found = list(pods(helm.render(example.stem)))
    assert len(found) >= 2
    for _, pod in found:
        about = pod["securityContext"]
        assert (about["runAsNonRoot"], about["runAsUser"]) == (True, 10001)
        assert about["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all("hostPath" not in volume for volume in pod["volumes"])
        for container in containers(pod):
            may = container["securityContext"]
            assert may["allowPrivilegeEscalation"] is False
            assert may["readOnlyRootFilesystem"] is True
            assert may["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= container["resources"].keys()
            assert "cpu" not in container["resources"]["limits"]  # it would throttle, not protect


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_no_secret_stands_in_an_object(helm: Helm, example: Path) -> None:
    items = helm.render(example.stem)
    assert "Secret" not in kinds(items)
    for _, pod in pods(items):
        for container in containers(pod):
            for name, value in variables(container).items():
                secret = name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") or "TOKEN" in name
                assert not secret or name.endswith("_FILE")
                assert name != "DATABASE_URL" or value.startswith("ssm://")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_mounted_is_there(helm: Helm, example: Path) -> None:
    for _, pod in pods(helm.render(example.stem)):
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in containers(pod):
            mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
            assert mounted.keys() <= volumes
            assert mounted["tmp"]["mountPath"] == "/tmp"
            for name, value in variables(container).items():
                if name.endswith("_FILE"):
                    place = value.rsplit("/", 1)[0]
                    assert place in {mount["mountPath"] for mount in mounted.values()}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_selectors_find_their_pods_and_no_others(helm: Helm, example: Path) -> None:
    items = helm.render(example.stem)
    labels = {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"]
        for item in items
        if item["kind"] == "Deployment"
    }
    for item in items:
        match item["kind"]:
            case "Service":
                selector = item["spec"]["selector"]
            case "Deployment" | "PodDisruptionBudget":
                selector = item["spec"]["selector"]["matchLabels"]
            case _:
                continue
        found = [name for name, said in labels.items() if selector.items() <= said.items()]
        assert found == [item["metadata"]["name"]]


# -- who it is ---------------------------------------------------------------------------------


def test_irsa_annotates_the_service_account(helm: Helm) -> None:
    items = helm.render("iam")
    account = one(items, "ServiceAccount")
    role = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    assert role == "arn:aws:iam::123456789012:role/sentiment-worker"
    for name, pod in pods(items):
        assert pod["serviceAccountName"] == account["metadata"]["name"], name


def test_pod_identity_has_an_account_without_an_annotation(helm: Helm) -> None:
    account = one(helm.render("cron"), "ServiceAccount")
    assert not account["metadata"].get("annotations")


def test_an_account_that_is_there_is_used(helm: Helm) -> None:
    change = ("serviceAccount.create=false", 'serviceAccount.name="theirs"', 'aws.roleArn=""')
    items = helm.render("iam", *change)
    assert "ServiceAccount" not in kinds(items)
    assert {pod["serviceAccountName"] for _, pod in pods(items)} == {"theirs"}


def test_doctor_has_what_the_worker_has(helm: Helm) -> None:
    items = helm.render("local")
    pod = one(items, "Pod")["spec"]
    assert pod["containers"][0]["resources"] == worker(items)["resources"]  # it loads the model


def test_keys_have_no_account_and_are_files(helm: Helm) -> None:
    items = helm.render("keys")
    assert "ServiceAccount" not in kinds(items)
    for _, pod in pods(items):
        assert pod["serviceAccountName"] == "default"
        aws = next(volume for volume in pod["volumes"] if volume["name"] == "aws")
        assert aws["secret"]["secretName"] == "sentiment-aws"
    said = variables(worker(items))
    assert said["LAMBDA_AUTH_METHOD"] == "keys"
    assert said["AWS_SECRET_ACCESS_KEY_FILE"] == "/run/secrets/aws/secret-access-key"


def test_a_database_in_parameter_store_is_named_and_not_mounted(helm: Helm) -> None:
    items = helm.render("cron")
    said = variables(worker(items))
    assert said["DATABASE_URL"] == "ssm:///sentiment/database-url"
    assert "DATABASE_URL_FILE" not in said
    assert all(v["name"] != "database" for _, pod in pods(items) for v in pod["volumes"])


def test_an_external_secret_is_the_database(helm: Helm) -> None:
    items = helm.render("argocd")
    made = one(items, "ExternalSecret")
    assert made["spec"]["data"] == [
        {"secretKey": "database-url", "remoteRef": {"key": "sentiment/database", "property": "url"}}
    ]
    name = made["spec"]["target"]["name"]
    for _, pod in pods(items):
        database = next(volume for volume in pod["volumes"] if volume["name"] == "database")
        assert database["secret"]["secretName"] == name
    keda = one(items, "TriggerAuthentication")["spec"]["secretTargetRef"]
    assert keda == [{"parameter": "connection", "name": name, "key": "database-url"}]


# -- how the schema comes ----------------------------------------------------------------------


def test_migration_by_an_init_container(helm: Helm) -> None:
    items = helm.render("iam")
    deployment = one(items, "Deployment", "scores-sentiment-worker")
    (init,) = deployment["spec"]["template"]["spec"]["initContainers"]
    assert init["args"] == ["db", "upgrade"]
    assert init["image"] == worker(items)["image"]
    assert "Job" not in kinds(items)


def test_migration_by_a_hook_of_helm(helm: Helm) -> None:
    items = helm.render("local")
    job = one(items, "Job")
    notes = job["metadata"]["annotations"]
    assert notes["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert notes["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    pod = job["spec"]["template"]["spec"]
    # Nothing of the release exists before it.
    assert pod["serviceAccountName"] == "default"
    named = [v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v]
    assert named == ["sentiment-database"]
    assert not any("configMap" in volume for volume in pod["volumes"])
    assert "initContainers" not in one(items, "Deployment")["spec"]["template"]["spec"]


def test_migration_in_a_wave_of_argo_cd(helm: Helm) -> None:
    items = helm.render("argocd")
    wave = "argocd.argoproj.io/sync-wave"
    job = one(items, "Job")["metadata"]["annotations"]
    assert (job[wave], job["argocd.argoproj.io/hook"]) == ("1", "Sync")
    # What is in a wave waits until all before it is healthy: KEDA's objects would wait for ever.
    for kind in ("Deployment", "ScaledObject", "TriggerAuthentication"):
        assert one(items, kind)["metadata"]["annotations"][wave] == "2"
    for kind in ("ExternalSecret", "ServiceAccount", "ConfigMap"):
        assert wave not in (one(items, kind)["metadata"].get("annotations") or {})
    assert "helm.sh/hook" not in job


def test_migration_by_nobody(helm: Helm) -> None:
    items = helm.render("proxy")
    assert "Job" not in kinds(items)
    assert all("initContainers" not in pod for _, pod in pods(items))


@pytest.mark.parametrize("method", ["init", "hook", "argocd"])
def test_a_job_at_its_times_migrates_by_each_method_too(helm: Helm, method: str) -> None:
    change = (f'migration.method="{method}"', 'mode="cron"', "serve.replicas=1",
              "metrics.serviceMonitor.enabled=false")  # fmt: skip
    items = helm.render("iam", *change)
    migrations = [c for _, pod in pods(items) for c in containers(pod) if c["name"] == "migrate"]
    assert len(migrations) == 1


# -- how it runs -------------------------------------------------------------------------------


def test_a_worker_that_stays(helm: Helm) -> None:
    items = helm.render("iam")
    deployment = one(items, "Deployment", "scores-sentiment-worker")["spec"]
    pod, container = deployment["template"]["spec"], worker(items)
    said = variables(container)
    assert (deployment["replicas"], container["args"]) == (2, ["serve"])
    assert container["startupProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert said["SENTIMENT_HTTP"] == f"0.0.0.0:{container['ports'][0]['containerPort']}"
    assert said["SENTIMENT_CONFIG"].startswith(container["volumeMounts"][-1]["mountPath"])
    assert pod["terminationGracePeriodSeconds"] > int(said["SENTIMENT_GRACE"].removesuffix("s"))


@pytest.mark.parametrize("seconds", [5, 25, 600])
@pytest.mark.parametrize("example", ["iam", "cron"])
def test_a_pod_is_killed_after_the_workers_own_grace(
    helm: Helm, example: str, seconds: int
) -> None:
    items = helm.render(example, f"serve.graceSeconds={seconds}")
    (pod,) = [p for _, p in pods(items) if p["containers"][0]["name"] == "worker"]
    assert variables(pod["containers"][0])["SENTIMENT_GRACE"] == f"{seconds}s"
    assert pod["terminationGracePeriodSeconds"] == seconds + 10


def test_a_job_at_its_times(helm: Helm) -> None:
    items = helm.render("cron")
    spec = one(items, "CronJob")["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("*/15 * * * *", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 3600)
    assert worker(items)["args"] == ["once"]
    assert not {"Deployment", "Service", "PodDisruptionBudget"} & kinds(items)


def test_another_configuration_is_another_pod(helm: Helm) -> None:
    def checksum(*changes: str) -> str:
        deployment = one(helm.render("keys", *changes), "Deployment")
        notes = deployment["spec"]["template"]["metadata"]["annotations"]
        return str(notes["checksum/config"])

    assert checksum() == checksum("serve.replicas=3")
    assert checksum() != checksum('config="[[source]]\\nname = \\"x\\""')


def test_several_workers_are_spread_and_drained_one_by_one(helm: Helm) -> None:
    items = helm.render("iam")
    spread = one(items, "Deployment", "scores-sentiment-worker")["spec"]["template"]["spec"]
    keys = {each["topologyKey"] for each in spread["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert one(items, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_one_worker_holds_up_no_drain(helm: Helm) -> None:
    items = helm.render("keys")
    assert "PodDisruptionBudget" not in kinds(items)
    pod = one(items, "Deployment")["spec"]["template"]["spec"]
    assert "topologySpreadConstraints" not in pod


def test_keda_says_how_many(helm: Helm) -> None:
    items = helm.render("argocd")
    scaled = one(items, "ScaledObject")["spec"]
    deployment = one(items, "Deployment")
    assert scaled["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (1, 6)
    assert "replicas" not in deployment["spec"]  # a sync would set them back
    assert "PodDisruptionBudget" in kinds(items)


def test_metrics_are_scraped_as_the_rules_expect(helm: Helm) -> None:
    items = helm.render("iam")
    monitor = one(items, "ServiceMonitor")["spec"]
    service = one(items, "Service", "scores-sentiment-worker")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    rules = (ROOT / "deploy/watching/alerts.yaml").read_text("utf-8")
    (label,) = endpoint["relabelings"]
    assert f'job="{label["replacement"]}"' in rules


def test_settings_are_variables(helm: Helm) -> None:
    said = variables(worker(helm.render("argocd")))
    assert said["SENTIMENT_MAX_CONCURRENCY"] == "32"
    assert said["SENTIMENT_FALLBACK_POLICY"] == "after:10m"
    assert said["SENTIMENT_CHUNK_BYTES"] == "1048576"  # not 1.048576e+06
    assert said["SENTIMENT_BACKFILL_SHARE"] == "0.25"
    assert variables(worker(helm.render("keys")))["REVIEWS_URL"]["secretKeyRef"]["key"] == "url"


def test_images(helm: Helm) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
    items = helm.render("iam")
    assert worker(items)["image"].endswith(f"/sentiment-worker:{version}")
    page = one(items, "Deployment", "scores-sentiment-worker-page")["spec"]["template"]["spec"]
    assert page["containers"][0]["image"].endswith(f"/sentiment-worker:{version}-page")
    digest = f"sha256:{'a' * 64}"
    pinned = worker(helm.render("keys", f'image.digest="{digest}"'))
    assert pinned["image"] == f"sentiment-worker@{digest}"


def test_the_version_is_the_workers() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    import worker as package

    assert chart["version"] == chart["appVersion"] == package.__version__


# -- the page ----------------------------------------------------------------------------------


def test_the_page_asks_for_its_token(helm: Helm) -> None:
    items = helm.render("iam")
    (page,) = one(items, "Deployment", "scores-sentiment-worker-page")["spec"]["template"]["spec"][
        "containers"
    ]
    name = "scores-sentiment-worker-page"
    assert page["args"][:2] == ["dashboard", "--address=0.0.0.0:8090"]
    known = ("scores.example.org", name, f"{name}.n", f"{name}.n.svc")
    assert page["args"][2:] == [f"--host={each}" for each in known]
    assert page["livenessProbe"]["httpGet"]["path"] == ALIVE
    said = variables(page)
    assert said["SENTIMENT_DASHBOARD_TOKEN_FILE"] == "/run/secrets/token/dashboard-token"
    assert not {"LAMBDA_FUNCTION_NAME", "SENTIMENT_CONFIG"} & said.keys()


def test_assistants_have_a_service_with_a_token(helm: Helm) -> None:
    items = helm.render("iam")
    name = "scores-sentiment-worker-mcp"
    (served,) = one(items, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    assert served["args"][:3] == ["mcp", "--http=0.0.0.0:8091", "--host=assistants.example.org"]
    assert f"--host={name}.n.svc" in served["args"]
    assert variables(served)["SENTIMENT_DASHBOARD_TOKEN_FILE"].startswith("/run/secrets/token/")
    assert one(items, "NetworkPolicy", name)["spec"]["ingress"] == [{"ports": [{"port": 8091}]}]
    assert one(items, "Service", name)["spec"]["ports"][0]["targetPort"] == "http"
    assert "Ingress" in kinds(items)  # the page's


def test_the_ingress_leads_to_the_page(helm: Helm) -> None:
    items = helm.render("iam")
    ingress = one(items, "Ingress")["spec"]
    (rule,) = ingress["rules"]
    service = rule["http"]["paths"][0]["backend"]["service"]
    ports = one(items, "Service", service["name"])["spec"]["ports"]
    assert service["port"]["name"] in {port["name"] for port in ports}
    assert ingress["tls"] == [{"secretName": "scores-tls", "hosts": [rule["host"]]}]


def test_behind_a_proxy_the_page_is_for_the_proxy_alone(helm: Helm) -> None:
    items = helm.render("proxy")
    policy = one(items, "NetworkPolicy", "scores-sentiment-worker-page")["spec"]
    assert policy["ingress"] == [
        {
            "ports": [{"port": 8090}],
            "from": [{"podSelector": {"matchLabels": {"app": "oauth2-proxy"}}}],
        }
    ]
    pod = one(items, "Deployment", "scores-sentiment-worker-page")["spec"]["template"]["spec"]
    said = variables(pod["containers"][0])
    assert said["SENTIMENT_DASHBOARD_USER_HEADER"] == "X-Forwarded-User"
    assert "SENTIMENT_DASHBOARD_TOKEN_FILE" not in said
    database = next(volume for volume in pod["volumes"] if volume["name"] == "database")
    assert database["secret"]["secretName"] == "sentiment-analyst"


# -- the way in, the way out -------------------------------------------------------------------


def test_the_way_in_is_to_metrics_alone(helm: Helm) -> None:
    policy = one(helm.render("keys"), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"ports": [{"port": 9464}]}]


def test_the_way_out_when_it_is_closed(helm: Helm) -> None:
    extra = 'networkPolicy.egress.extra=[{"ports": [{"port": 3306}]}]'
    items = helm.render("cron", extra)
    policy = one(items, "NetworkPolicy", "scores-sentiment-worker-egress")["spec"]
    assert policy["policyTypes"] == ["Egress"]
    selected = policy["podSelector"]["matchLabels"].items()
    assert selected <= one(items, "Pod")["metadata"]["labels"].items()  # the test's
    spec = one(items, "CronJob")["spec"]["jobTemplate"]["spec"]
    assert selected <= spec["template"]["metadata"]["labels"].items()
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 443, 5432, 80, 3306]
    (agent,) = [rule["to"] for rule in policy["egress"] if "to" in rule]
    assert agent == [{"ipBlock": {"cidr": "169.254.170.23/32"}}]  # of EKS Pod Identity


def test_no_policy_where_none_is_wanted(helm: Helm) -> None:
    assert "NetworkPolicy" not in kinds(helm.render("keys", "networkPolicy.enabled=false"))


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "changes", "told"),
    [
        ("iam", ['mode="both"'], "mode"),
        ("iam", ['mode=["serve", "cron"]'], "mode"),
        ("iam", ["replicas=3"], "replicas"),
        ("iam", ["serve.replica=3"], "replica"),
        ("iam", ['serve.replicas="two"'], "replicas"),
        ("iam", ['settings.SENTIMENT_MAX_CONCURENCY="32"'], "SENTIMENT_MAX_CONCURENCY"),
        ("iam", ['settings.DATABASE_URL="postgresql://u:p@h/d"'], "DATABASE_URL"),
        ("iam", ['settings.AWS_SECRET_ACCESS_KEY="x"'], "AWS_SECRET_ACCESS_KEY"),
        ("iam", ['database.reference="ssm://a"'], "in one way"),
        ("iam", ['database.existingSecret=""'], "in one way"),
        ("iam", ['database.existingSecret=""', 'database.reference="postgresql://u:p@h"'],
         "reference"),
        ("iam", ['config=""'], "--set-file config="),
        ("iam", ['function.name=""'], "function.name is empty"),
        ("iam", ['aws.roleArn="sentiment-worker"'], "roleArn"),
        ("iam", ['aws.roleArn=""'], "say aws.identity: pod-identity"),
        ("iam", ['aws.identity="pod-identity"'], "roleArn is for aws.identity: irsa"),
        ("iam", ['aws.keysSecret="x"'], "for aws.authMethod: keys"),
        ("keys", ['aws.keysSecret=""'], "names no Secret"),
        ("keys", ['aws.roleArn="arn:aws:iam::123456789012:role/x"'], "would not be used"),
        ("argocd", ['migration.method="hook"'], "runs before the ExternalSecret"),
        ("cron", ['migration.method="hook"'], "runs before the ExternalSecret"),
        ("argocd", ['externalSecret.storeName=""'], "storeName and remoteKey"),
        ("cron", ["keda.enabled=true"], "keda scales workers that stay"),
        ("cron", ["serve.replicas=2"], "one job runs at a time"),
        ("cron", ["metrics.serviceMonitor.enabled=true"], "ends before it is scraped"),
        ("argocd", ["keda.minReplicas=9"], "larger than keda.maxReplicas"),
        ("argocd", ["keda.minReplicas=0"], "minReplicas"),
        ("iam", ['page.tokenSecret=""'], "Anybody could read every record"),
        ("iam", ["page.hosts=[]"], "page.ingress needs page.hosts"),
        ("proxy", ["page.allowedFrom=[]"], "let the proxy alone reach it"),
        ("proxy", ["networkPolicy.enabled=false"], "let the proxy alone reach it"),
        ("iam", ['mcp.tokenSecret=""'], "name mcp.tokenSecret"),
        ("iam", ["serviceAccount.create=false"], "serviceAccount.name names none"),
        ("iam", ["serviceAccount.create=false", 'serviceAccount.name="x"'],
         "belong to the account that is there"),
        ("iam", ["function.timeout=901"], "timeout"),
        ("iam", ['image.digest="latest"'], "digest"),
        ("iam", ['migration.method="job"'], "method"),
    ],
)  # fmt: skip
def test_what_is_refused(helm: Helm, example: str, changes: list[str], told: str) -> None:
    done = helm.tried(example, *changes)
    assert done.returncode != 0
    assert told in done.stderr


def test_an_empty_chart_says_what_it_needs(helm: Helm) -> None:
    done = helm("template", "r", CHART)
    assert done.returncode != 0
    assert "Say where DATABASE_URL is" in done.stderr


def test_it_can_be_packaged(helm: Helm, tmp_path: Path) -> None:
    """With the rules that it only links to."""
    assert helm("package", CHART, "--destination", tmp_path).returncode == 0
    (package,) = tmp_path.glob("*.tgz")
    values = CHART / "examples" / "iam.yaml"
    done = helm("template", "r", package, "--values", values)
    assert done.returncode == 0, done.stderr
    assert "SentimentStuck" in done.stdout
