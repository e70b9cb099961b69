"""GitHub's workflows: checked as files, and their scripts run for real by the real `aws` against
moto. GitHub itself has run none of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from sentiment_function.handler import handler

from tests.infrastructure.conftest import ROOT, Aws

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
SCRIPTS = sorted((GITHUB / "scripts").glob("*.sh"))
FUNCTION, RELEASE = GITHUB / "scripts/function.sh", GITHUB / "scripts/release.sh"
REPOSITORY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/sentiment/prod"
NAME = "sentiment-analysis"


def read(file: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(file.read_text("utf-8"))
    return found


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in read(file)["jobs"].values() for step in job["steps"]]


# -- as files ----------------------------------------------------------------------------------


def test_they_are_workflows(tools: Path) -> None:
    done = subprocess.run(
        [tools / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert len(WORKFLOWS) == 3


def test_zizmor_finds_nothing(tools: Path) -> None:
    done = subprocess.run([tools / "zizmor", "--offline", "--no-progress", *WORKFLOWS],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "No findings" in done.stdout + done.stderr


def test_shellcheck_finds_nothing(tools: Path) -> None:
    done = subprocess.run([tools / "shellcheck", *SCRIPTS], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert len(SCRIPTS) == 2


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_nothing_is_allowed_that_is_not_said(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"]
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_actions_are_pinned_by_commit(file: Path) -> None:
    used = [step["uses"] for step in steps(file) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each) for each in used)
    for line in file.read_text("utf-8").splitlines():
        assert "uses:" not in line or re.search(r"# v\d+\.\d+\.\d+$", line)


def test_one_commit_of_each_action() -> None:
    used = {step["uses"] for file in WORKFLOWS for step in steps(file) if "uses" in step}
    assert len({each.split("@")[0] for each in used}) == len(used)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_no_text_of_others_is_put_into_a_script(file: Path) -> None:
    """It reaches scripts as a variable."""
    for step in steps(file):
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_what_is_run_is_there() -> None:
    make = (ROOT / "Makefile").read_text("utf-8")
    for file in WORKFLOWS:
        for step in steps(file):
            run = step.get("run", "")
            for script in re.findall(r"\.github/scripts/\S+", run):
                assert (ROOT / script).stat().st_mode & 0o100
            for target in re.findall(r"^make (\w+)", run, re.MULTILINE):
                assert f"\n{target}:" in make
    for target in read(GITHUB / "workflows/checks.yml")["jobs"]["tests"]["strategy"]["matrix"][
        "what"
    ]:
        assert f"\n{target}:" in make


def test_only_deployments_get_a_token_for_aws() -> None:
    may = {
        (file.stem, name)
        for file in WORKFLOWS
        for name, job in read(file)["jobs"].items()
        if "id-token" in job["permissions"]
    }
    assert may == {("deploy", "push"), ("deploy", "by-hand"), ("release", "wheel")}
    assert "pull_request" not in read(GITHUB / "workflows/deploy.yml")[True]  # YAML's `on`


# -- scripts -----------------------------------------------------------------------------------


class Road:
    """Moto for everything, but calls of functions are answered by the real handler, or badly."""

    def __init__(self, moto: str) -> None:
        self.failing: set[str] = set()
        """Qualifiers under which the function fails."""
        self.called: list[str] = []
        road = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if "/invocations" in self.path:
                    self._call(body)
                    return
                request = urllib.request.Request(
                    moto + self.path, body or None, dict(self.headers), method=self.command
                )
                try:
                    with urllib.request.urlopen(request) as answer:
                        self._answer(answer.status, answer.read(), {})
                except urllib.error.HTTPError as error:
                    kind = error.headers.get("x-amzn-ErrorType", "")
                    self._answer(error.code, error.read(), {"x-amzn-ErrorType": kind})

            def _call(self, body: bytes) -> None:
                qualifier = self.path.split("Qualifier=")[1]
                road.called.append(qualifier)
                if qualifier in road.failing:
                    self._answer(200, b'{"errorType": "Runtime.ExitError"}',
                                 {"X-Amz-Function-Error": "Unhandled"})  # fmt: skip
                else:
                    said = handler(json.loads(body), None)
                    self._answer(200, json.dumps(said).encode(), {})

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815  so the library asks

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def road(aws: Aws) -> Iterator[Road]:
    """A function of deploy/terraform, whose alias `live` is at version 1, and images to come."""
    made = Road(aws.url)
    functions, images, iam = (aws.client(name) for name in ("lambda", "ecr", "iam"))
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
         "Action": "sts:AssumeRole"}]}  # fmt: skip
    role = iam.create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(trust))
    images.create_repository(repositoryName="sentiment/prod")
    for tag in ("first", "second"):
        _push(images, f"{NAME}-{tag}")
    digest = _digest(images, f"{NAME}-first")
    functions.create_function(
        FunctionName=NAME, PackageType="Image", Code={"ImageUri": f"{REPOSITORY}@{digest}"},
        Role=role["Role"]["Arn"], Publish=True,
    )  # fmt: skip
    functions.create_alias(FunctionName=NAME, Name="live", FunctionVersion="1", Description="first")
    yield made
    made.close()
    functions.delete_function(FunctionName=NAME)
    images.delete_repository(repositoryName="sentiment/prod", force=True)
    iam.delete_role(RoleName="function")


def _push(images: Any, tag: str) -> None:
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    layers = [{"size": 1, "digest": tag}]
    manifest = {"schemaVersion": 2, "config": {"digest": tag}, "layers": layers}
    images.put_image(repositoryName="sentiment/prod", imageTag=tag,
                     imageManifest=json.dumps(manifest), imageManifestMediaType=kind)  # fmt: skip


def _digest(images: Any, tag: str) -> str:
    found = images.describe_images(repositoryName="sentiment/prod", imageIds=[{"imageTag": tag}])
    return str(found["imageDetails"][0]["imageDigest"])


def _live(aws: Aws) -> tuple[str, str]:
    alias = aws.client("lambda").get_alias(FunctionName=NAME, Name="live")
    return alias["FunctionVersion"], alias["Description"]


def test_a_new_image_goes_live_once_it_is_healthy(aws: Aws, road: Road) -> None:
    image = f"{REPOSITORY}:{NAME}-second"
    done = aws(FUNCTION, "update", NAME, image, AWS_ENDPOINT_URL=road.url, COMMIT="3f2a1c9")
    assert done.returncode == 0, done.stderr
    version = done.stdout.strip()
    assert _live(aws) == (version, "3f2a1c9")
    assert version != "1"
    assert road.called == [version, "live"]  # asked before, and as what it then was
    configuration = aws.client("lambda").get_function(FunctionName=NAME, Qualifier=version)
    images = aws.client("ecr")
    digest = _digest(images, f"{NAME}-second")
    assert configuration["Code"]["ImageUri"].endswith(digest)
    listed = images.list_images(repositoryName="sentiment/prod")["imageIds"]
    (kept,) = [i for i in listed if i.get("imageTag", "").startswith("live-")]
    assert kept["imageDigest"] == digest  # the repository keeps such images the longest


def test_an_image_that_fails_never_goes_live(aws: Aws, road: Road) -> None:
    road.failing = {"2"}
    done = aws(FUNCTION, "update", NAME, f"{REPOSITORY}:{NAME}-second", AWS_ENDPOINT_URL=road.url)
    assert done.returncode == 2
    assert "live stays at version 1" in done.stderr
    assert (_live(aws), road.called) == (("1", "first"), ["2"])


def test_one_that_fails_as_live_is_rolled_back(aws: Aws, road: Road) -> None:
    road.failing = {"live"}
    done = aws(FUNCTION, "update", NAME, f"{REPOSITORY}:{NAME}-second", AWS_ENDPOINT_URL=road.url)
    assert done.returncode == 2
    assert "back at version 1" in done.stderr
    assert _live(aws) == ("1", "first")


def test_an_image_that_is_not_in_the_registry_changes_nothing(aws: Aws, road: Road) -> None:
    done = aws(FUNCTION, "update", NAME, f"{REPOSITORY}:{NAME}-third", AWS_ENDPOINT_URL=road.url)
    assert done.returncode == 2
    assert f"{REPOSITORY}:{NAME}-third is not in the registry" in done.stderr
    assert (_live(aws), road.called) == (("1", "first"), [])


def test_an_image_is_verified_by_its_tag_and_named_by_its_digest(aws: Aws, road: Road) -> None:
    done = aws(FUNCTION, "verify", f"{REPOSITORY}:{NAME}-first", AWS_ENDPOINT_URL=road.url)
    assert done.stdout.strip() == f"{REPOSITORY}@{_digest(aws.client('ecr'), f'{NAME}-first')}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of its own with the scripts, and a first commit."""
    for folder in (".github/scripts", "lambda/sentiment_function", "lambda/transcribe_function",
                   "lambda/transcription", "docs"):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
    for script in SCRIPTS:
        shutil.copy(script, tmp_path / ".github/scripts")
    for file in ("lambda/sentiment_function/model.py", "lambda/sentiment_function/wire.py",
                 "lambda/transcribe_function/speech.py", "lambda/README.md"):  # fmt: skip
        (tmp_path / file).write_text("1\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("lambda/sentiment_function/model.py", [NAME]),
        ("lambda/transcribe_function/speech.py", []),
        ("lambda/sentiment_function/wire.py", [NAME]),
        ("lambda/README.md", []),
        ("docs/x.md", []),
    ],
)
def test_what_has_changed_since_it_went_live_is_new(
    aws: Aws, road: Road, checkout: Path, file: str, found: list[str]
) -> None:
    """However many commits ago: a deployment that failed or was overtaken is made up for."""
    live = git(checkout, "rev-parse", "HEAD")
    functions = aws.client("lambda")
    functions.update_alias(FunctionName=NAME, Name="live", Description=live)
    assert _is_new(aws, road, checkout) == "false"
    (checkout / file).write_text("2\n")
    commit(checkout)
    (checkout / "docs/later.md").write_text("3\n")
    commit(checkout)
    assert _is_new(aws, road, checkout) == ("true" if NAME in found else "false")


@pytest.mark.parametrize("said", ["", "first", "0" * 40])
def test_what_nobody_knows_to_be_live_is_new(
    aws: Aws, road: Road, checkout: Path, said: str
) -> None:
    aws.client("lambda").update_alias(FunctionName=NAME, Name="live", Description=said)
    assert _is_new(aws, road, checkout) == "true"


def test_a_function_that_is_not_there_is_an_error_of_the_step(
    aws: Aws, road: Road, checkout: Path
) -> None:
    script = checkout / ".github/scripts/function.sh"
    done = aws(script, "is-new", "transcription", AWS_ENDPOINT_URL=road.url)
    assert done.returncode != 0
    (run,) = [step["run"] for step in steps(GITHUB / "workflows/deploy.yml")
              if "is-new" in step.get("run", "")]  # fmt: skip
    assert 'echo "is_new=$(' not in run  # that would hide it


def _is_new(aws: Aws, road: Road, checkout: Path) -> str:
    script = checkout / ".github/scripts/function.sh"
    done = aws(script, "is-new", NAME, AWS_ENDPOINT_URL=road.url)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("application", "dockerfile"),
    [(NAME, "lambda/Dockerfile"), ("transcription", "lambda/transcription/Dockerfile")],
)
def test_files_that_make_an_image_are_those_that_its_image_file_copies(
    application: str, dockerfile: str
) -> None:
    cases = FUNCTION.read_text("utf-8").split("files_of() {")[1].split("\n}")[0]
    named = re.findall(r"lambda/[\w./-]+", cases.split(f"{application})")[1].split(";;")[0])
    assert dockerfile in named
    kept_later = {"lambda/base-image.digest"}
    assert all((ROOT / name).exists() for name in set(named) - kept_later)
    lines = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (ROOT / dockerfile).read_text("utf-8"), re.MULTILINE
    )
    copied = [f"lambda/{each}".rstrip("/") for line in lines for each in line.split()]
    assert copied
    for place in copied:
        assert any(place == name or place.startswith(f"{name}/") for name in named), place


def test_an_image_is_built_under_its_tag(aws: Aws) -> None:
    image = f"{REPOSITORY}:{NAME}-abc"
    done = aws(FUNCTION, "build", NAME, image)
    assert done.returncode == 0, done.stderr
    asked = (aws.folder / "docker.log").read_text().splitlines()
    (built,) = [line for line in asked if f"--tag {image}" in line]
    assert "--push" in built
    assert f"--build-arg BASE_DIGEST=@sha256:{'1' * 64}" in built
    arm = aws(FUNCTION, "build", NAME, image, PLATFORM="linux/arm64")
    assert arm.returncode == 0
    assert "--platform linux/arm64" in (aws.folder / "docker.log").read_text()
    assert aws(FUNCTION, "build", NAME, f"{REPOSITORY}:abc").returncode == 2
    assert aws(FUNCTION, "build", "worker", f"{REPOSITORY}:worker-abc").returncode == 2


def test_an_image_that_is_there_is_not_built_again(aws: Aws, road: Road) -> None:
    """A job that is run again: its tag cannot be pushed twice."""
    log = aws.folder / "docker.log"
    before = log.read_text() if log.exists() else ""
    done = aws(FUNCTION, "build", NAME, f"{REPOSITORY}:{NAME}-first", AWS_ENDPOINT_URL=road.url)
    assert (done.returncode, "is there already" in done.stderr) == (0, True)
    assert (log.read_text() if log.exists() else "") == before


CALLS = {
    "ecr get-login-password": "ecr:GetAuthorizationToken",
    "ecr describe-images": "ecr:DescribeImages",
    "ecr batch-get-image": "ecr:BatchGetImage",
    "ecr put-image": "ecr:PutImage",
    "lambda get-alias": "lambda:GetAlias",
    "lambda update-function-code": "lambda:UpdateFunctionCode",
    "lambda wait": "lambda:GetFunctionConfiguration",
    "lambda invoke": "lambda:InvokeFunction",
    "lambda update-alias": "lambda:UpdateAlias",
}
"""What the script calls, and which right that needs."""

PUSHES = {
    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
}  # fmt: skip
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html"""


def test_whoever_deploys_may_do_what_the_script_does_and_nothing_else() -> None:
    text = FUNCTION.read_text("utf-8")
    called = {" ".join(each) for each in re.findall(r"\baws (ecr|lambda) ([a-z-]+)", text)}
    assert called == CALLS.keys()
    policy = json.loads((ROOT / "deploy/iam/deploy-policy.json").read_text("utf-8"))
    allowed = set()
    for statement in policy["Statement"]:
        actions = statement["Action"]
        allowed |= {actions} if isinstance(actions, str) else set(actions)
        if statement["Resource"] == "*":
            assert actions == "ecr:GetAuthorizationToken"
    of_publish = {"lambda:PublishVersion"}
    assert "--publish" in text
    assert allowed == set(CALLS.values()) | PUSHES | of_publish


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.stem)
def test_help_and_nonsense(aws: Aws, script: Path) -> None:
    assert aws(script, "--help").stdout.startswith("Usage:")
    assert aws(script, "nonsense").returncode == 2
    assert aws(script).returncode == 2


def test_a_release_has_one_version(aws: Aws, tmp_path: Path, tools: Path) -> None:
    assert aws(RELEASE, "version", "v0.1.0").returncode == 0
    assert "has another version" in aws(RELEASE, "version", "v9.9.9").stderr
    assert aws(RELEASE, "version", "0.1.0").returncode == 2
    assert (tools / "cyclonedx-py").exists()
    done = aws(RELEASE, "sbom", tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "sentiment-worker-worker.cdx.json").read_text())
    assert found["bomFormat"] == "CycloneDX"
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "deploy/requirements/worker.txt").read_text("utf-8"),
                      re.MULTILINE)  # fmt: skip
    assert {part["name"] for part in found["components"]} == set(pins)
    assert aws(RELEASE, "chart", tmp_path).returncode == 0
    assert (tmp_path / "sentiment-worker-0.1.0.tgz").exists()


def test_images_of_a_release(aws: Aws) -> None:
    for target, tag in (("worker", "0.1.0"), ("local", "0.1.0-local"), ("page", "0.1.0-page")):
        done = aws(RELEASE, "image", target, "ghcr.io/Owner/sentiment-worker", "v0.1.0")
        assert done.returncode == 0, done.stderr
        built = (aws.folder / "docker.log").read_text().splitlines()[-1]
        assert f"--tag ghcr.io/owner/sentiment-worker:{tag} " in built
        assert f"--target {target} --provenance=mode=max --sbom=true" in built
