"""The repository keeps its own rules: sizes of files and functions, reasons for dependencies, no registry's address."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60


def tracked(*patterns: str) -> list[pathlib.Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def python_files() -> list[pathlib.Path]:
    return tracked("src/*.py", "tests/*.py", "bench/*.py")


def test_no_file_is_longer_than_600_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in python_files()
        if (lines := len(path.read_text().splitlines())) > FILE_LINES_MAX
    }
    assert not long, f"split these: {long}"


def test_no_function_is_longer_than_60_lines() -> None:
    long = []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines")
    assert not long, "split these:\n" + "\n".join(long)


def test_every_dependency_has_a_reason() -> None:
    reasons = (ROOT / "docs/dependencies.md").read_text()
    for path in sorted((ROOT / "requirements").glob("*.in")):
        for line in path.read_text().splitlines():
            name = re.split(r"[<>=!\[; ]", line.strip())[0]
            if name and not name.startswith(("#", "-")):
                assert f"`{name}`" in reasons, f"docs/dependencies.md gives no reason for {name} ({path.name})"


@pytest.mark.parametrize(
    "what, pattern",
    [
        ("a registry's address", r"(pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org)"),
        ("an index option", r"^--(extra-)?index-url|^--find-links"),
    ],
)
def test_nothing_names(what: str, pattern: str) -> None:
    named = []
    for path in tracked():
        if path == pathlib.Path(__file__).resolve():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        named += [f"{path.relative_to(ROOT)}: {line}" for line in text.splitlines() if re.search(pattern, line)]
    assert not named, f"{what} stands in:\n" + "\n".join(named)


def test_every_room_says_what_it_is() -> None:
    for path in sorted((ROOT / "src/roadstead").glob("*/__init__.py")):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path.relative_to(ROOT)} has no docstring"
