"""Files as they arrive in real life, each with what is right for it:

    python -m tests.faults.corpus FOLDER

writes the files and expected.tsv: name, what it is, rows accepted, of these skipped (nothing to
score), rows in quarantine. A file that is refused whole is one row in quarantine.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard


class Case(NamedTuple):
    name: str
    what: str
    data: bytes
    accepted: int
    quarantined: int = 0
    skipped: int = 0


REFUSED: dict[str, Any] = {"accepted": 0, "quarantined": 1}

ENCODINGS = (
    *("utf-8", "utf-8-sig", "cp1252", "latin-1", "iso8859-15", "cp437", "cp850", "mac-roman"),
    *("koi8-r", "cp1251", "iso8859-5", "shift_jis", "euc-jp", "iso2022_jp", "gb18030", "big5"),
    *("euc-kr", "cp1253", "cp1255", "cp1256", "tis-620", "utf-7"),
)
LETTERS = {
    **dict.fromkeys(["koi8-r", "cp1251", "iso8859-5"], "жизнь"),
    **dict.fromkeys(["shift_jis", "euc-jp", "iso2022_jp"], "日本語"),
    **dict.fromkeys(["gb18030", "big5"], "中文"),
    "euc-kr": "한국어",
    "cp1253": "ζωή",
    "cp1255": "שלום",
    "cp1256": "حياة",
    "tis-620": "ชีวิต",
}

ODD_TEXTS = {
    "right to left": "שלום عالم",
    "zero width": "go\u200bod\u200d",
    "a zero width space alone": "\u200b",
    "zalgo": "g" + "\u0300\u0301\u0302" * 60 + "ood",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪",
    "bidi overrides": "\u202edoog\u202c",
    "control characters": "a\x01b\x1b[31mred\x07",
    "a delete": "a\x7fb",
    "C1 controls": "a\x9bb\x85c",
    "a non-character": "a\uffffb\ufdd0",
    "a private use character": "\ue000\U0010fffd",
    "a byte order mark inside": "a\ufeffb",
    "line and paragraph separators": "a\u2028b\u2029c",
    "NA": "NA",
    "null": "null",
    "nan": "nan",
    "None": "None",
    "inf": "inf",
    "007": "007",
    "true": "TRUE",
    "a big number": "9007199254740993",
    "a float": "1e5",
    "minus zero": "-0",
    "a formula": "=1+1",
    "another formula": "@SUM(A1)",
    "a command": "$(rm -rf /)",
    "SQL": "'; DROP TABLE record; --",
    "a path": "../../etc/passwd",
    "a template": "{{7*7}} ${7*7} %s %n",
    "a tag": "<b>good</b>",
    "a script": "<script>alert(1)</script>good",
    "a script alone": "<script>alert(1)</script>",
    "an entity": "&lt;good&gt; &amp; &nbsp;",
    "a numeric entity too large": "&#99999999;",
    "a comment": "<!-- nothing -->",
    "an unclosed tag": "<b good",
    "many open tags": "<b>" * 20_000,
    "many less-than signs": "<" * 50_000,
    "many ampersands": "&" * 50_000,
    "a doctype bomb": '<!DOCTYPE l [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>&b;',
    "a single character": "x",
    "a million characters": "good " * 200_000,
    "above a million characters": "good " * 200_100,
    "a word of 100,000 letters": "g" * 100_000,
    "backslashes": "\\n\\t\\\\",
    "a combining start": "\u0301abc",
    "half-width forms": "\uff47\uff4f\uff4f\uff44",
    "mathematical letters": "\U0001d4f0\U0001d4f8\U0001d4f8\U0001d4ed",
    "soft hyphens": "go\u00adod",
    "tabs": "a\tb",
}
BLANK_TEXTS = {
    "empty": "",
    "a space": " ",
    "tabs and spaces": "\t \t",
    "a no-break space": "\u00a0",
    "an ideographic space": "\u3000",
    "line feeds": "\n\n",
}
GOOD_TIMES = (
    "2026-01-31T08:00:00Z",
    "2026-01-31T08:00:00+02:00",
    "2026-01-31 08:00:00 +0200",
    "2026-01-31T08:00:00.123456+00:00",
    "Sat, 31 Jan 2026 08:00:00 +0000",
    "9999-12-31T00:00:00Z",
    "0001-01-02T00:00:00Z",
)
BAD_TIMES = (
    "2026-01-31T08:00:00",
    "2026-01-31",
    "8/4/2016 11:52",
    "2026-02-30T00:00:00Z",
    "2026-01-31T25:00:00Z",
    "2026-01-31T08:00:61Z",
    "yesterday",
    "1769846400",
    "0001-01-01T00:00:00+14:00",
    "99999-01-01T00:00:00Z",
    "31.01.2026 08:00",
    "NaT",
)
JSON_ROWS: tuple[tuple[str, str, int, int, int], ...] = (
    # what, the row, accepted, quarantined, skipped
    ("NaN", '{"id": "n", "text": NaN}', 0, 1, 0),
    ("Infinity", '{"id": "n", "text": -Infinity}', 0, 1, 0),
    ("doubled keys", '{"id": "n", "text": "a", "text": "b"}', 0, 1, 0),
    ("a number of 5,000 digits", '{"id": %s, "text": "a"}' % ("9" * 5000), 0, 1, 0),
    ("deep nesting", '{"id": "n", "text": "a", "x": ' + "[" * 9**5 + "]" * 9**5 + "}", 0, 1, 0),
    ("an array", '["n", "a"]', 0, 1, 0),
    ("a scalar", '"a"', 0, 1, 0),
    ("null", "null", 0, 1, 0),
    ("single quotes", "{'id': 'n', 'text': 'a'}", 0, 1, 0),
    ("a trailing comma", '{"id": "n", "text": "a",}', 0, 1, 0),
    ("two objects in a line", '{"id": "n", "text": "a"} {"id": "m", "text": "b"}', 0, 1, 0),
    ("an unclosed string", '{"id": "n", "text": "a}', 0, 1, 0),
    ("a raw tab in a string", '{"id": "n", "text": "a\tb"}', 0, 1, 0),
    ("no text", '{"id": "n"}', 0, 1, 0),
    ("a list as text", '{"id": "n", "text": ["a"]}', 0, 1, 0),
    ("an object as text", '{"id": "n", "text": {"a": 1}}', 0, 1, 0),
    ("null as text", '{"id": "n", "text": null}', 1, 0, 1),
    ("a number as text", '{"id": "n", "text": 42}', 1, 0, 0),
    ("true as text", '{"id": "n", "text": true}', 1, 0, 0),
    ("null as id", '{"id": null, "text": "a"}', 0, 1, 0),
    ("no id", '{"text": "a"}', 0, 1, 0),
    ("an empty id", '{"id": "", "text": "a"}', 0, 1, 0),
    ("a blank id", '{"id": "  ", "text": "a"}', 0, 1, 0),
    ("true as id", '{"id": true, "text": "a"}', 0, 1, 0),
    ("a list as id", '{"id": [1], "text": "a"}', 0, 1, 0),
    ("a big number as id", '{"id": 9007199254740993, "text": "a"}', 1, 0, 0),
    ("a float as id", '{"id": 1.5, "text": "a"}', 1, 0, 0),
    ("an id of 2,000 letters", '{"id": "%s", "text": "a"}' % ("n" * 2000), 0, 1, 0),
    ("an escaped NUL", '{"id": "n", "text": "a\\u0000b"}', 1, 0, 0),
    ("an escaped NUL in the id", '{"id": "n\\u0000", "text": "a"}', 0, 1, 0),
    ("only a NUL as id", '{"id": "\\u0000", "text": "a"}', 0, 1, 0),
    ("a lone surrogate", '{"id": "n", "text": "a\\ud800b"}', 1, 0, 0),
    ("a pair of surrogates", '{"id": "n", "text": "\\ud83d\\ude00"}', 1, 0, 0),
    ("U+2028 inside", '{"id": "n", "text": "a\u2028b"}', 1, 0, 0),
    ("U+0085 inside", '{"id": "n", "text": "a\x85b"}', 1, 0, 0),
    ("a comment", '{"_comment": "made up"}', 0, 0, 0),
    ("a blank line", "   ", 0, 0, 0),
    ("a bad time", '{"id": "n", "text": "a", "created_at": "yesterday"}', 0, 1, 0),
    ("a time as number", '{"id": "n", "text": "a", "created_at": 5}', 0, 1, 0),
    ("unknown keys", '{"id": "n", "text": "a", "more": {"x": [1, null]}}', 1, 0, 0),
)

HEAD = b"id,text\n"
TWO = b"1,a good day\n2,a bad day\n"


def cases() -> Iterator[Case]:
    yield from _encodings()
    yield from _texts()
    yield from _times()
    yield from _structure()
    yield from _json()
    yield from _packed()
    yield from _parquet()


def _encodings() -> Iterator[Case]:
    for encoding in ENCODINGS:
        data = _csv(("id", "text"), ("1", "plain"), ("2", LETTERS.get(encoding, "café")))
        raw = data.decode().encode(encoding)
        # Strict UTF-8, line by line, is what was declared by saying nothing.
        good = sum(_is_utf8(line) for line in raw.splitlines()[1:])
        yield Case(f"in-{encoding}.csv", f"{encoding}, undeclared", raw, good, 2 - good)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        raw = (HEAD + TWO).decode().encode(encoding)
        yield Case(f"in-{encoding}.csv", f"{encoding}, undeclared", raw, **REFUSED)
    for name, row in {
        "an overlong slash": b"3,a\xc0\xafb\n",
        "a lone continuation byte": b"3,a\x80b\n",
        "a surrogate in bytes": b"3,a\xed\xa0\x80b\n",
        "beyond Unicode": b"3,a\xf5\x80\x80\x80b\n",
        "a character cut in two": b"3,a\xe2\x82\n",
        "0xFF": b"3,\xff\xfe\n",
    }.items():
        yield Case(f"{_slug(name)}.csv", name, HEAD + TWO + row + b"4,after\n", 3, 1)


def _texts() -> Iterator[Case]:
    for what, text in ODD_TEXTS.items():
        yield Case(f"text-{_slug(what)}.csv", what, _csv(("id", "text"), ("1", text)), 1)
        if len(text) < 200 and text.isprintable():
            data = _csv(("id", "text"), (text, "a good day"))
            yield Case(f"id-{_slug(what)}.csv", f"{what}, as id", data, 1)
    for what, text in BLANK_TEXTS.items():
        data = _csv(("id", "text"), ("1", text))
        yield Case(f"blank-{_slug(what)}.csv", f"{what} as text", data, 1, 0, 1)
    yield Case("nul.csv", "a NUL in the text", HEAD + b"1,a\0b\n2,after\n", 2)
    yield Case(
        "field-of-9-mb.csv", "a field of 9 MB", HEAD + b"1," + b"x" * 9_000_000 + b"\n2,b\n", 1, 1
    )
    yield Case(
        "line-of-20-mb.jsonl",
        "a line of 20 MB",
        b'{"a' + b"x" * 20_000_000 + b"\n" + _line(1),
        1,
        1,
    )


def _times() -> Iterator[Case]:
    for number, moment in enumerate(GOOD_TIMES):
        data = _csv(("id", "text", "created_at"), ("1", "a", moment))
        yield Case(f"time-good-{number}.csv", f"a time: {moment}", data, 1)
    for number, moment in enumerate(BAD_TIMES):
        data = _csv(("id", "text", "created_at"), ("1", "a", GOOD_TIMES[0]), ("2", "b", moment))
        yield Case(f"time-bad-{number}.csv", f"no time, or not clearly: {moment}", data, 1, 1)
    data = _csv(("id", "text", "created_at"), ("1", "a", "8/4/2016 11:52"))
    yield Case("time-all-bad.csv", "not one time can be read: the layout's fault", data, **REFUSED)


def _structure() -> Iterator[Case]:
    rows: tuple[tuple[str, bytes, int, int], ...] = (
        ("an unclosed quote", HEAD + b'1,a\n2,"b\n3,c\n4,d\n', 3, 1),
        ("an unclosed quote at the end", HEAD + b'1,a\n2,"b\n', 1, 1),
        ("a quote inside", HEAD + b'1,a\n2,"b"c\n3,d\n', 2, 1),
        ("quotes doubled", HEAD + b'1,"a ""good"" day"\n', 1, 0),
        ("a quoted line feed", HEAD + b'1,"a\nb"\n2,c\n', 2, 0),
        ("a missing column", HEAD + b"1,a\n2\n3,c\n", 2, 1),
        ("an extra column", HEAD + b"1,a\n2,b,x\n3,c\n", 2, 1),
        ("empty lines", HEAD + b"\n1,a\n\n\n2,b\n\n", 2, 0),
        ("only a header", HEAD, 0, 0),
        ("CR LF", (HEAD + TWO).replace(b"\n", b"\r\n"), 2, 0),
        ("no line feed at the end", (HEAD + TWO)[:-1], 2, 0),
        ("a header with spaces", b" id , text \n1,a\n", 1, 0),
        ("a header in capitals", b"ID,TEXT\n1,a\n", 1, 0),
        ("comments before the header", b"# made up\n# really\n" + HEAD + b"1,a\n", 1, 0),
        ("an empty id", HEAD + b",a\n2,b\n", 1, 1),
        ("an id twice", HEAD + b"1,a\n1,b\n", 1, 0),
        ("another column for the text", b"id,body\n1,a\n", 1, 0),
        ("no id column", b"text\na\nb\n", 2, 0),
        ("300 columns", _csv(["id", "text", *map(str, range(298))], ["1", "a", *[""] * 298]), 1, 0),
        ("a mark at the start", b"\xef\xbb\xbf" + HEAD + TWO, 2, 0),
    )  # fmt: skip
    for what, data, accepted, quarantined in rows:
        yield Case(f"{_slug(what)}.csv", what, data, accepted, quarantined)
    for what, data in (
        ("a doubled header", b"id,text,text\n1,a,b\n"),
        ("no column for the text", b"id,stars\n1,5\n"),
        ("semicolons", b"id;text\n1;a\n"),
        ("a picture by another name", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        ("a header with an unclosed quote", b'"id,text\n1,a\n'),
    ):
        yield Case(f"{_slug(what)}.csv", what, data, **REFUSED)
    yield Case("empty.csv", "an empty file", b"", 0)
    yield Case("tabs.tsv", "tabs", b"id\ttext\n1\ta, b\n2\tc\n", 2)
    yield Case("commas.tsv", "commas where tabs should be", HEAD + TWO, **REFUSED)


def _json() -> Iterator[Case]:
    for what, row, accepted, quarantined, skipped in JSON_ROWS:
        data = _line("first") + row.encode("utf-8") + b"\n" + _line("last")
        name = f"row-{_slug(what)}.jsonl"
        yield Case(name, what, data, 2 + accepted, quarantined, skipped)
    yield Case("cut.jsonl", "a cut last line", _line(1) + b'{"id": 2, "te', 1, 1)
    yield Case("no-end.jsonl", "no line feed at the end", _line(1) + _line(2).rstrip(), 2)
    yield Case("array.jsonl", "one array over many lines", b"[\n" + _line(1) + b"]\n", 1, 2)
    yield Case("empty.jsonl", "an empty file", b"", 0)
    yield Case("mark.jsonl", "a byte order mark", b"\xef\xbb\xbf" + _line(1), 1)
    yield Case(
        "invalid.jsonl", "a row that is not UTF-8", _line(1) + b'{"id": 2, "text": "\xff"}\n', 1, 1
    )


def _packed() -> Iterator[Case]:
    many = HEAD + b"".join(b"%d,a good day number %d\n" % (n, n) for n in range(5_000))
    packed = gzip.compress(many, mtime=0)
    frame = zstandard.ZstdCompressor().compress(many)
    bomb = HEAD + b"1," + b"x" * 300_000_000
    yield Case("whole.csv.gz", "gzip", packed, 5_000)
    yield Case(
        "two-members.csv.gz",
        "two gzip members",
        gzip.compress(HEAD + b"1,a\n") + gzip.compress(b"2,b\n"),
        2,
    )
    yield Case("cut.csv.gz", "gzip, cut", packed[: len(packed) // 2], -1, 1)
    yield Case("damaged.csv.gz", "gzip, its checksum wrong", packed[:-8] + b"\0" * 8, -1, 1)
    yield Case("not.csv.gz", "not gzip at all", HEAD + TWO, **REFUSED)
    yield Case("empty.csv.gz", "gzip of nothing", gzip.compress(b""), 0)
    yield Case("bomb.csv.gz", "a gzip bomb: 300 MB in 300 KB", gzip.compress(bomb), -1, 1)
    yield Case("whole.csv.zst", "zstandard", frame, 5_000)
    yield Case("cut.csv.zst", "zstandard, cut", frame[: len(frame) // 2], -1, 1)
    yield Case("not.csv.zst", "not zstandard at all", HEAD + TWO, **REFUSED)
    yield Case("bomb.csv.zst", "a zstandard bomb", zstandard.ZstdCompressor().compress(bomb), -1, 1)


def _parquet() -> Iterator[Case]:
    plain = _table(id=["1", "2"], text=["a", "b"])
    yield Case("plain.parquet", "Parquet", plain, 2)
    yield Case(
        "nulls.parquet",
        "Parquet, a null text and a null id",
        _table(id=["1", None], text=[None, "b"]),
        1,
        1,
        1,
    )
    yield Case(
        "numbers.parquet", "Parquet, numbers as ids", _table(id=[1, 2**53 + 1], text=["a", "b"]), 2
    )
    yield Case("lists.parquet", "Parquet, lists as texts", _table(id=["1"], text=[["a"]]), 0, 1)
    yield Case(
        "no-text.parquet", "Parquet, no column for the text", _table(id=["1"], stars=[5]), **REFUSED
    )
    yield Case("cut.parquet", "Parquet, cut", plain[: len(plain) // 2], **REFUSED)
    yield Case("not.parquet", "not Parquet at all", HEAD + TWO, **REFUSED)
    yield Case("bytes.parquet", "Parquet, bytes as texts", _table(id=["1"], text=[b"\xff"]), 0, 1)


def _table(**columns: Sequence[Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), buffer)
    return buffer.getvalue()


def _csv(*rows: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode("utf-8", "surrogatepass")


def _line(id_: object) -> bytes:
    return json.dumps({"id": str(id_), "text": "a good day"}).encode() + b"\n"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _slug(what: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in what.lower()).strip("-")


def write(folder: Path) -> list[Case]:
    """Write every file, at rest since long, and the table."""
    made = list(cases())
    names = [case.name for case in made]
    assert len(set(names)) == len(names), sorted(n for n in names if names.count(n) > 1)
    for case in made:
        path = folder / case.name
        path.write_bytes(case.data)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    with open(folder.parent / "expected.tsv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(("name", "what", "accepted", "quarantined", "skipped"))
        table.writerows((c.name, c.what, c.accepted, c.quarantined, c.skipped) for c in made)
    return made


if __name__ == "__main__":
    target = Path(sys.argv[1]) / "files"
    target.mkdir(parents=True, exist_ok=True)
    print(f"{len(write(target))} files in {target}")
