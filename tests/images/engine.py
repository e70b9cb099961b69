"""Images without a daemon: buildah builds them, and a container is a mount and a chroot.

Docker's registry is out of reach of these tests, so each base image is made here, of Debian's own
packages by mmdebstrap, and committed under the name that the Dockerfile asks for. It has what the
Dockerfiles use of the real one: Python with pip and venv; of AWS's also `/var/lang/bin/python`,
`/var/task`, AWS's runtime client and AWS's emulator.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
PYTHON, LAMBDA = "python:3.13-slim-bookworm", "amazon/aws-lambda-python:3.13"
PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom this machine trusts: pip inside needs to as well."""

ENVIRONMENT = os.environ | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
"""Works where neither overlays nor user namespaces do."""

ENTRYPOINT = """#!/bin/sh
# As in AWS's base image: under the emulator, unless Lambda itself runs it.
if [ -z "$AWS_LAMBDA_RUNTIME_API" ]; then
    exec /usr/local/bin/aws-lambda-rie /var/lang/bin/python -m awslambdaric "$@"
fi
exec /var/lang/bin/python -m awslambdaric "$@"
"""


def buildah(*arguments: object) -> str:
    done = subprocess.run(["buildah", *map(str, arguments)], env=ENVIRONMENT, check=False,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout.strip()


@contextmanager
def container(image: str) -> Iterator[tuple[str, Path]]:
    """A container of an image, and where its files are."""
    name = buildah("from", "--pull-never", image)
    try:
        yield name, Path(buildah("mount", name))
    finally:
        buildah("rm", name)


def make_bases(emulator: Path, scratch: Path) -> None:
    """Commit both base images, unless they are there."""
    if not _is_there(PYTHON):
        archive = scratch / "debian.tar"
        made = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "trixie"]
        subprocess.run([*made, archive], check=True, capture_output=True)
        with container("scratch") as (name, files):
            subprocess.run(["tar", "-C", files, "-xf", archive], check=True)
            for marker in files.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
                marker.unlink()  # the real image's Python is nobody else's
            shutil.copy(AUTHORITIES, files / str(AUTHORITIES).lstrip("/"))
            buildah("config", "--env", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", name)
            buildah("commit", "--quiet", name, f"docker.io/library/{PYTHON}")
    if not _is_there(LAMBDA):
        with container(PYTHON) as (name, files):
            for folder in ("var/lang/bin", "var/task", "usr/local/bin"):
                (files / folder).mkdir(parents=True, exist_ok=True)
            (files / "var/lang/bin/python").symlink_to("/usr/bin/python3")
            (files / "lambda-entrypoint.sh").write_text(ENTRYPOINT)
            shutil.copy(emulator, files / "usr/local/bin/aws-lambda-rie")
            for program in ("lambda-entrypoint.sh", "usr/local/bin/aws-lambda-rie"):
                (files / program).chmod(0o755)
            install = ("python3", "-m", "pip", "install", "--quiet", "--target", "/var/runtime")
            buildah("run", name, "--", *install, "awslambdaric")
            path = "PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin"
            for variable in (path, "LAMBDA_TASK_ROOT=/var/task", "PYTHONPATH=/var/runtime"):
                buildah("config", "--env", variable, name)
            entry = json.dumps(["/lambda-entrypoint.sh"])
            buildah("config", "--workingdir", "/var/task", "--entrypoint", entry, name)
            buildah("commit", "--quiet", name, f"docker.io/{LAMBDA}")


def _is_there(image: str) -> bool:
    return bool(subprocess.run(["buildah", "images", "--quiet", image], env=ENVIRONMENT,
                               capture_output=True, check=False).stdout)  # fmt: skip


@dataclass(frozen=True)
class Image:
    """An image that was built here."""

    name: str

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", self.name))
        described: dict[str, Any] = found["Docker"]["config"]
        return described

    def megabytes_beside(self, base: str) -> float:
        return (_bytes(self.name) - _bytes(base)) / 1e6

    @contextmanager
    def running(
        self,
        *command: str,
        log: Path,
        mounts: Mapping[str, Path] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A command in the image as its user, on files that cannot be written, with a /tmp of its
        own and this machine's network: `docker run --read-only --tmpfs /tmp --network host`."""
        with container(self.name) as (_, files), log.open("wb") as out:
            process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "sh", "-euc", _ENTER,
                 "enter", str(files), self._user, self.config["WorkingDir"] or "/",
                 *_mounted(mounts or {}), "--", *command],
                env=self._variables() | dict(variables or {}), stdout=out, stderr=out,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                yield process
            finally:
                # The first process of the container, and all others with it. That it would end with
                # its parent is forgotten when it becomes another user.
                for child in (
                    psutil.Process(process.pid).children() if process.poll() is None else ()
                ):
                    child.kill()
                process.wait()

    def run(
        self, *command: str, log: Path, variables: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """To its end: its code, and what it said."""
        with self.running(*command, log=log, variables=variables) as process:
            code = process.wait(120)
        return code, log.read_text()

    @property
    def _user(self) -> str:
        user = self.config["User"]
        assert user not in ("", "0", "root"), "it does not run as root"
        return str(user)

    def _variables(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in self.config["Env"])


def build(name: str, file: str, context: str, *more: str) -> Image:
    ignore = ROOT / f"{file}.dockerignore"
    ignoring = ["--ignorefile", ignore] if ignore.exists() else []
    buildah("bud", "--pull-never", "--layers", "--format", "docker", "--file", ROOT / file,
            *ignoring, *more, "--tag", name, ROOT / context)  # fmt: skip
    return Image(name)


def _mounted(mounts: Mapping[str, Path]) -> Sequence[str]:
    return [f"{path}:{inside}" for inside, path in mounts.items()]


def _bytes(image: str) -> int:
    with container(image) as (_, files):
        done = subprocess.run(["du", "-sb", files], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[0])


_ENTER = """
root=$1 user=$2 folder=$3; shift 3
mount --bind "$root" "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
while [ "$1" != -- ]; do
    mkdir -p "$root/tmp/${1##*:}"
    mount --bind "${1%:*}" "$root/tmp/${1##*:}"
    shift
done
shift
mount -o remount,bind,ro "$root"
exec /usr/sbin/chroot --userspec="$user" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"
"""
