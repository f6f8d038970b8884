"""The documentation against the disk."""

import re

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    "name, heading, least",
    [
        ("reliability", "| fault", 26),
        ("owners", "| question", 20),
        ("pay", ("| Fact", "| What becomes", "| Question"), 26),
    ],
)
def test_each_line_names_tests_that_are_there(name, heading, least):
    text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(heading)]
    known = {
        name
        for path in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), flags=re.M)
    }
    named = [re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1]) for row in rows]
    assert len(rows) >= least and all(named) and {name for names in named for name in names} <= known
