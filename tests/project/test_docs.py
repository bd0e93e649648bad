"""The docs keep up with the code: links, module names, commands, generated pages, and the rooms' order."""

from __future__ import annotations

import ast
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib
import typing
from collections.abc import Iterator

import msgspec
import pytest
import typer.main

from roadstead.agent import lifecycle as agent_lifecycle
from roadstead.agent import simulated_host
from roadstead.api import reference
from roadstead.app import lifecycles
from roadstead.cli import main as cli
from roadstead.model import diagrams, lifecycle

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/roadstead"
CONTRACT = "Rooms"
MADE_BY_BENCH = {"docs/benchmarks.md"}
"""Pages that a bench writes, not `make reference`: a link to them is right before they are there."""
SHELL_LANGUAGES = ("bash", "sh", "console")


def pages() -> list[pathlib.Path]:
    """Every Markdown page of the repository that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file())


def name_of(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", pages(), ids=name_of)


class Block(msgspec.Struct, frozen=True):
    """A fenced block of code."""

    language: str
    text: str


def split(text: str) -> tuple[str, list[Block]]:
    """A page's prose, and its fenced blocks."""
    blocks: list[Block] = []

    def take(found: re.Match[str]) -> str:
        blocks.append(Block(found[1], found[2]))
        return "\n"

    return re.sub(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", take, text, flags=re.MULTILINE | re.DOTALL), blocks


def spans(prose: str) -> list[str]:
    """The code spans of prose."""
    return [found[1].replace("\n", " ") for found in re.finditer(r"`([^`]+)`", prose)]


# -- links


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    prose, _ = split(page.read_text())
    found = re.findall(r"^#+ +(.+?)\s*$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@every_page
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    prose, _ = split(page.read_text())
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() and name_of(there) in MADE_BY_BENCH:
            continue
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(target)
    assert not broken, f"{name_of(page)} links to what isn't there: {broken}"


def test_decisions_are_listed_once_each_in_order() -> None:
    decisions = ROOT / "docs/decisions"
    listed = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \|", (decisions / "README.md").read_text(), flags=re.MULTILINE)
    assert [name for _, name in listed] == sorted(path.name for path in decisions.glob("0*.md"))
    for number, name in listed:
        assert name.startswith(f"{number}-")
        assert (decisions / name).read_text().startswith(f"# {number}: ")


# -- module names


def rooms() -> set[str]:
    return {path.parent.name for path in SOURCE.glob("*/__init__.py")}


def names_in(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """What a module or a class defines."""
    found: dict[str, ast.stmt] = {}
    for one in body:
        match one:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found[one.name] = one
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = one
            case ast.Assign(targets=targets):
                found.update((target.id, one) for target in targets if isinstance(target, ast.Name))
    return found


def exists(dotted: str) -> bool:
    """Whether `room.module`, `room.module.name` or `room.module.Class.member` is there."""
    parts = dotted.split(".")
    path = SOURCE
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    if not parts:
        return True
    module = path / f"{parts[0]}.py"
    if module.is_file():
        parts.pop(0)
    else:
        module = path / "__init__.py"
    body = ast.parse(module.read_text()).body
    for part in parts:
        found = names_in(body).get(part)
        if found is None:
            return False
        body = found.body if isinstance(found, ast.ClassDef) else []
    return True


@pytest.mark.parametrize(
    "dotted, there",
    [
        ("engine.committer", True),
        ("engine.committer.Committer.durable", True),
        ("agent.oci.adopt", True),
        ("control.placement", True),
        ("engine.commiter", False),
        ("engine.committer.Committer.permanent", False),
    ],
)
def test_the_check_of_module_names_tells_right_from_wrong(dotted: str, there: bool) -> None:
    assert exists(dotted) == there


@every_page
def test_modules_that_are_named_exist(page: pathlib.Path) -> None:
    prose, _ = split(page.read_text())
    named = [span for span in spans(prose) if re.fullmatch(r"[a-z_]+(\.\w+)+", span) and span.split(".")[0] in rooms()]
    files = ("py", "md", "json", "log", "sqlite")
    missing = [name for name in named if name.rpartition(".")[2] not in files and not exists(name)]
    assert not missing, f"{name_of(page)} names what isn't in src/roadstead: {missing}"


# -- ARCHITECTURE.md


def layers() -> list[set[str]]:
    """import-linter's layers, the lowest first."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    contract = next(one for one in contracts if one["name"].startswith(CONTRACT))
    return [
        {part.strip().removeprefix("roadstead.") for part in one.split("|")} for one in reversed(contract["layers"])
    ]


def test_architecture_describes_every_room_in_import_order() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    described = re.findall(r"^### `(\w+)`$", text, flags=re.MULTILINE)
    assert sorted(described) == sorted(rooms()), "each room has one section"
    ranks = {room: rank for rank, layer in enumerate(layers()) for room in layer}
    assert sorted(ranks) == sorted(rooms()), "each room stands in import-linter's contract"
    assert described == sorted(described, key=lambda room: ranks[room]), "the sections go from the lowest layer up"


def test_architecture_shows_the_layers_as_they_are() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (\d) \| (.+) \|$", text, flags=re.MULTILINE)
    shown = {int(number): set(re.findall(r"`(\w+)`", row)) for number, row in rows}
    assert shown == dict(enumerate(layers(), start=1))


# -- commands


def shell_lines(block: Block) -> Iterator[str]:
    """The commands of a block, lines that go on joined, prompts and comments left out."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    for line in text.splitlines():
        yield re.sub(r"(^|\s)#.*", "", line.removeprefix("$ "))


def invocations(text: str) -> Iterator[list[str]]:
    """The arguments of each call of `roadstead` in a line of shell, those in $(…) first."""
    while found := re.search(r"\$\(([^()]*)\)", text):
        yield from invocations(found[1])
        text = f"{text[: found.start()]}SUBSTITUTED{text[found.end() :]}"
    for found in re.finditer(r"(?:^|(?<=[\s(;|&/]))roadstead(?P<rest>(?:\s+[^|;&)>\s]\S*?(?=[\s|;&)>]|$))+)", text):
        try:
            yield shlex.split(found["rest"])
        except ValueError:
            yield found["rest"].split()


def resolve(arguments: list[str]) -> tuple[typing.Any, list[str]]:
    """The command that the arguments begin with, and what is left for it. Raises AssertionError for an unknown verb."""
    command: typing.Any = typer.main.get_command(cli.app)
    rest = list(arguments)
    while hasattr(command, "commands"):
        while rest and rest[0].startswith("-"):
            option = rest.pop(0).partition("=")
            known = next((one for one in command.params if option[0] in (*one.opts, *one.secondary_opts)), None)
            assert known is not None or option[0] in ("--help", "-h"), f"there is no option {option[0]}"
            if known is not None and not known.is_flag and not option[1]:
                rest.pop(0)
        if not rest:
            break
        verb = rest.pop(0)
        assert verb in command.commands, f"there is no verb {verb} in {sorted(command.commands)}"
        command = command.commands[verb]
    return command, rest


def check_mention(arguments: list[str]) -> None:
    """A command named in prose: its verbs and options exist. What stands for something else is let through."""
    command, rest = resolve(arguments)
    if command.name == "aws":
        return
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
    unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known]
    assert not unknown, f"{command.name} has no option {unknown}"


def check_command(arguments: list[str]) -> None:
    """A command to be typed: it parses, its arguments and required options included."""
    command, rest = resolve(arguments)
    if command.name == "aws" or "--help" in arguments or "-h" in arguments:
        return
    command.make_context(command.name, rest, resilient_parsing=False)


@pytest.mark.parametrize(
    "line, calls",
    [
        ('eval "$(roadstead env)"', [["env"]]),
        ("sudo roadstead down --remove; roadstead ps | head", [["down", "--remove"], ["ps"]]),
        (".venv/bin/roadstead logs web -n 5 > file", [["logs", "web", "-n", "5"]]),
        ("cd ~/roadstead && make up", []),
        ("roadstead explain task $(roadstead ps -q | head -n 1)", [["ps", "-q"], ["explain", "task", "SUBSTITUTED"]]),
        ("ls roadstead-data", []),
    ],
)
def test_commands_are_found(line: str, calls: list[list[str]]) -> None:
    assert list(invocations(line)) == calls


@pytest.mark.parametrize("line", ["pss", "ps --most", "explain task", "agent", "service status", "up --port many"])
def test_a_wrong_command_is_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"."):
        check_command(line.split())


@every_page
def test_commands_can_be_typed(page: pathlib.Path) -> None:
    prose, blocks = split(page.read_text())
    calls = [
        (call, check_command)
        for block in blocks
        if block.language in SHELL_LANGUAGES
        for line in shell_lines(block)
        for call in invocations(line)
    ]
    calls += [
        (call, check_mention) for span in spans(prose) if span.startswith("roadstead ") for call in invocations(span)
    ]
    wrong = []
    for call, check in calls:
        try:
            check(call)
        except Exception as problem:
            wrong.append(f"roadstead {shlex.join(call)}: {problem or type(problem).__name__}")
    assert not wrong, f"{name_of(page)} has commands that can't be typed:\n" + "\n".join(wrong)


@every_page
def test_make_targets_exist(page: pathlib.Path) -> None:
    prose, blocks = split(page.read_text())
    lines = [line for block in blocks if block.language in SHELL_LANGUAGES for line in shell_lines(block)]
    named = {found[1] for text in (*lines, *spans(prose)) if (found := re.match(r"make ([a-z-]+)\b", text))}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert named <= targets, f"{name_of(page)} names make targets that aren't there: {sorted(named - targets)}"


@every_page
def test_python_in_the_docs_is_python(page: pathlib.Path) -> None:
    _, blocks = split(page.read_text())
    for block in blocks:
        if block.language == "python":
            ast.parse(block.text)


@pytest.mark.slow
def test_the_guide_for_tests_is_a_test(tmp_path: pathlib.Path) -> None:
    """Its conftest.py and its tests run as they stand there, against a server of their own."""
    _, blocks = split((ROOT / "docs/guides/ci.md").read_text())
    conftest, tests = (block.text for block in blocks if block.language == "python")
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_guide.py").write_text(tests)
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


def test_the_guide_for_tests_has_every_variable_of_the_simulated_host() -> None:
    named = set(re.findall(r"ROADSTEAD_SIM_\w+", simulated_host.__doc__ or ""))
    assert named and named == set(re.findall(r"`(ROADSTEAD_SIM_\w+)`", (ROOT / "docs/guides/ci.md").read_text()))


# -- generated pages


def test_operations_page_is_fresh() -> None:
    assert (ROOT / "docs/operations.md").read_text() == reference.text(), "run `make reference`"


def test_lifecycles_page_is_fresh() -> None:
    assert (ROOT / "docs/lifecycles.md").read_text() == lifecycles.text(), "run `make reference`"


@pytest.mark.parametrize(
    "statuses, meanings",
    [
        (lifecycle.TaskStatus, diagrams.TASK_MEANINGS),
        (lifecycle.ContainerStatus, diagrams.CONTAINER_MEANINGS),
        (lifecycle.ServiceStatus, diagrams.SERVICE_MEANINGS),
        (lifecycle.RolloutState, diagrams.ROLLOUT_MEANINGS),
        (agent_lifecycle.TaskStatus, lifecycles.AGENT_TASK_MEANINGS),
        (agent_lifecycle.ContainerStatus, lifecycles.AGENT_CONTAINER_MEANINGS),
    ],
)
def test_every_status_has_a_meaning(statuses: typing.Any, meanings: dict[str, str]) -> None:
    assert set(typing.get_args(statuses)) == set(meanings)


def test_charts_show_every_move_and_where_it_ends() -> None:
    chart = diagrams.graph("Doors", "…", {"OPEN": "wide", "SHUT": "fast", "GONE": "no more"}, {("OPEN", "SHUT")})
    lines = diagrams.draw(chart).splitlines()
    assert "    [*] --> OPEN" in lines and "    OPEN --> SHUT" in lines and "    SHUT --> [*]" in lines
    assert "| OPEN | wide | SHUT |" in lines
    ladder = diagrams.draw(diagrams.ladder("Rungs", "…", ("A", "B", "C"), {"A": "a", "B": "b", "C": "c"}))
    assert "| A | a | B, C |" in ladder and "    A --> C" not in ladder
