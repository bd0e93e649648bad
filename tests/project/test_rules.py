"""Each rule of section 1 of the written behaviour has a test that names it (`behaviour_rules.py` lists them)."""

from __future__ import annotations

import ast
import collections
import pathlib
from collections.abc import Iterator

from behaviour_rules import NOT_HERE, RULES

TESTS = pathlib.Path(__file__).resolve().parents[1]


def marked(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """(rule, test) for each rule that a test of the file is marked with."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.rule":
                for one in decorator.args:
                    assert isinstance(one, ast.Constant), f"{path.name}: {node.name}: a rule is a literal"
                    yield one.value, f"{path.relative_to(TESTS)}::{node.name}"


def proofs() -> dict[str, list[str]]:
    """The tests that prove each rule."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for rule, test in marked(path):
            found[rule].append(test)
    return found


def test_every_rule_has_a_test() -> None:
    found = proofs()
    unproved = [f"{rule}: {text}" for rule, text in RULES.items() if rule not in found]
    assert not unproved, "no test is marked with these rules:\n" + "\n".join(unproved)


def test_every_mark_names_a_rule() -> None:
    unknown = {rule: tests for rule, tests in proofs().items() if rule not in RULES}
    assert not unknown, f"tests/project/behaviour_rules.py has none of these: {unknown}"


def test_each_rule_stands_in_one_list() -> None:
    assert not RULES.keys() & NOT_HERE.keys()
