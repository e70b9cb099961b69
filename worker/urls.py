"""Database URLs as people mistype them: a sentence for each mistake, never the password."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from worker.errors import ConfigurationError

_HOSTS = re.compile(
    r"(?P<login>postgres[^:]*://(?:[^@/]*@)?)(?P<hosts>[^/?@,]+(?:,[^/?@,]+)+)"
    r"/(?P<database>[^?]*)(?:\?(?P<options>.*))?"
)

EXAMPLE = "postgresql://user:password@host:5432/database"


def parse(url: str, what: str) -> URL:
    """`what` names the URL in the error. Raises ConfigurationError."""
    try:
        parsed = make_url(_HOSTS.sub(_one_by_one, url, count=1))
    except (sa.exc.ArgumentError, ValueError):
        # Their messages repeat the URL, and with it the password.
        raise ConfigurationError(
            f"{what} is not a database URL.", hint=f"Write {EXAMPLE}."
        ) from None
    if "@" in (parsed.host or ""):
        raise ConfigurationError(
            f"{what} has more than one @.",
            hint="A password with an @ is written with %40 in its place (/ is %2F, : is %3A).",
        )
    return parsed


def _one_by_one(found: re.Match[str]) -> str:
    """libpq's list of hosts, `a:1,b:2`, as SQLAlchemy and psycopg take it: `?host=a:1&host=b:2`."""
    hosts = "&".join(f"host={host}" for host in found["hosts"].split(","))
    rest = found["options"] or ""
    return f"{found['login']}/{found['database']}?{hosts}{'&' if rest else ''}{rest}"


def place(url: URL) -> str:
    """Where a URL leads to, without login and options."""
    return without_login(url.set(password=None, query={}).render_as_string())


def without_login(place: str) -> str:
    """Of a `place` that an earlier version kept with its login."""
    return re.sub(r"(?<=://)[^@/]*@", "", place, count=1)


def name_in(place: str) -> str:
    """The database's name in a `place`."""
    return place.rsplit("/", 1)[-1]


def shown(url: str) -> str:
    """A URL as it may be shown: without its password, and without options, which may hold one."""
    try:
        parsed = parse(url, "it")
    except ConfigurationError:
        return "***"
    return parsed.set(query={}).render_as_string(hide_password=True)
