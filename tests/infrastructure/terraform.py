"""Terraform's files, read by python-hcl2; and their tables of variables, for the README:

python -m tests.infrastructure.terraform
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.infrastructure.conftest import ROOT, TOOLS

FOLDER = ROOT / "deploy" / "terraform"
MODULES = ("function", "worker")

_PARSE = """
import json, pathlib, sys, hcl2
json.dump([hcl2.loads(pathlib.Path(name).read_text("utf-8")) for name in sys.argv[1:]], sys.stdout)
"""

Block = dict[str, Any]


class Module:
    """A folder of files, as one."""

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("*.tf"))
        done = subprocess.run([TOOLS / "python", "-c", _PARSE, *files], capture_output=True,
                              text=True, check=True)  # fmt: skip
        self._found: list[Block] = [_plain(each) for each in json.loads(done.stdout)]

    def blocks(self, kind: str) -> dict[str, Block]:
        """Of a kind, by their labels: `variable`, `output`, `module`, `resource`, `data`."""
        found: dict[str, Block] = {}
        for file in self._found:
            for block in file.get(kind, ()):
                ((label, said),) = block.items()
                if kind in ("resource", "data"):
                    ((name, said),) = ((k, v) for k, v in said.items())
                    label = f"{label}.{name}"
                assert label not in found
                found[label] = said
        return found

    def policy(self, name: str) -> list[Block]:
        """The statements of a policy document."""
        document = self.blocks("data")[f"aws_iam_policy_document.{name}"]
        always: list[Block] = document.get("statement", [])
        perhaps = [each["statement"]["content"][0] for each in document.get("dynamic", [])]
        return always + perhaps


def _plain(value: Any) -> Any:
    """Without the quotes, and what the parser says of itself."""
    match value:
        case dict():
            return {
                _plain(name): _plain(each)
                for name, each in value.items()
                if name not in ("__is_block__", "__comments__", "__inline_comments__")
            }
        case list():
            return [_plain(each) for each in value]
        case str() if len(value) >= 2 and value[0] == value[-1] == '"':
            return json.loads(value)
    return value


def readme() -> str:
    """As it should be."""
    text = (FOLDER / "README.md").read_text("utf-8")
    for name in MODULES:
        begin = f"<!-- {name}: made by python -m tests.infrastructure.terraform -->\n"
        end = f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{_table(name)}\n{end}{after}"
    return text


def _table(name: str) -> str:
    module = Module(FOLDER / name)
    rows = [
        f"| `{variable}` | {_type(said['type'])} | {_default(said)} | {said['description']} |"
        for variable, said in module.blocks("variable").items()
    ]
    told = [f"| `{output}` | {said['description']} |"
            for output, said in module.blocks("output").items()]  # fmt: skip
    return "\n".join(
        ["| variable | type | default | what it is |", "|---|---|---|---|", *rows, "",
         "| output | what it is |", "|---|---|", *told]
    ) + "\n"  # fmt: skip


def _type(said: str) -> str:
    found = re.match(r"\$?\{?([a-z]+(?:\((?:string|object|number)\b)?)", said)
    assert found, said
    return f"`{found[1]})`" if "(" in found[1] else f"`{found[1]}`"


def _default(said: Block) -> str:
    if "default" not in said:
        return "needed"
    return f"`{json.dumps(said['default'])}`" if said["default"] not in ("", [], {}, None) else ""


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(readme(), "utf-8")
