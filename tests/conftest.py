"""What every test run shares: `--skips-fail`, for runs in which a missing part is a failure."""

from __future__ import annotations

import contextlib
import os

import pytest

with contextlib.suppress(ImportError):  # the public clients' own environments have none
    from hypothesis import HealthCheck, settings
    from hypothesis.internal.conjecture import providers
    from hypothesis.internal.constants_ast import Constants

    # They try the same each time, so that what failed nowhere fails nowhere else; `make soak` searches, from its seeds.
    SEARCHES = bool(os.environ.get("TRUNKLINE_SOAK_SEED"))
    if not SEARCHES:  # nor is what they try made of the modules that happen to be loaded, by tests before them
        providers._get_local_constants = Constants
    # And they take as long as they take: the machine may be busy with something else.
    settings.register_profile(
        "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=not SEARCHES
    )
    settings.load_profile("unhurried")

collect_ignore = ["clients"]  # run by the public clients' own environments: see tests/engines/test_clients.py


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-engines` passes it: there, every part must be present."""
    parser.addoption("--skips-fail", action="store_true", help="a skipped test is a failure")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """Turn a skip into a failure that keeps its reason."""
    report: pytest.TestReport = yield
    if report.skipped and item.config.getoption("--skips-fail") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason} (here a skip is a failure)"
    return report
