"""What the suites' own root `conftest.py` does, which is not in their packages; and a note of how each test ended.

Loaded by `pytest -p devtools_testutils.plugin`. The notes go to the file that `CONFORMANCE_OUTCOMES` names, one JSON object a line,
written at the end of each test, so that a run that is cut short still says how far it came.
"""

import json
import os

import pytest

# Fixtures are there for the suites once their names are here.
from . import environment_variables, recorded_test, test_proxy  # noqa: F401


def pytest_configure(config):
    for marker in ("live_test_only", "playback_test_only"):
        config.addinivalue_line("markers", f"{marker}(why): of the suites' root set-up")


def is_live(item):
    """Whether a test talks to a server.

    Of the vaults' suites one of the preparers makes the test's client: they put a function of this name in the test's place. Those of
    azure-identity ask for an account by a fixture or its name, or for a person at a terminal.
    """
    if getattr(item, "function", None) is not None and item.function.__name__ == "_preparer":
        return True
    asked = list(getattr(item, "fixturenames", ()))
    asked += [value for value in getattr(getattr(item, "callspec", None), "params", {}).values() if isinstance(value, str)]
    return item.get_closest_marker("manual") is not None or any(name.startswith("live_") for name in asked)


def pytest_collection_modifyitems(items):
    for item in items:
        item.user_properties.append(("kind", "live" if is_live(item) else "offline"))


def pytest_runtest_setup(item):
    if item.get_closest_marker("playback_test_only"):
        pytest.skip("for playback only")


def why(report):
    """One line that says what went wrong, or why it was skipped."""
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    line = " ".join((crash.message if crash else str(report.longrepr or "")).split())
    # azure-core says everything twice: in one line, and then as "Code: ... Message: ...".
    return line.split(" Code: ")[0][:400]


class Outcomes:
    """How the parts of a test ended (set-up, call, tear-down): the worst of them is how the test ended."""

    def __init__(self, path):
        self.path = path
        self.worst = {}

    def pytest_runtest_logreport(self, report):
        entry = self.worst.setdefault(
            report.nodeid,
            {
                "test": report.nodeid,
                "kind": dict(report.user_properties).get("kind"),
                "outcome": "passed",
                "why": "",
                "seconds": 0.0,
            },
        )
        entry["seconds"] += report.duration
        if report.failed or (report.skipped and entry["outcome"] == "passed"):
            entry.update(outcome=report.outcome, why=why(report))
        if report.when == "teardown":
            self.write(entry)

    def pytest_collectreport(self, report):
        if report.failed:
            reason = "cannot be collected: " + why(report)
            self.write({"test": report.nodeid, "kind": "live", "outcome": "failed", "why": reason, "seconds": 0.0})

    def write(self, entry):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def pytest_sessionstart(session):
    path = os.environ.get("CONFORMANCE_OUTCOMES")
    if path:
        session.config.pluginmanager.register(Outcomes(path))
