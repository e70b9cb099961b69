"""The fault tests' world, scale, seed and notes, beside other people's servers.

make servers
"""

from tests.faults.conftest import (  # noqa: F401  pytest finds them here
    endpoint,
    note,
    pytest_addoption,
    pytest_configure,
    pytest_report_header,
    rng,
    scale,
    server,
    world,
)
