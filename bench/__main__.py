"""`python -m bench [--only NAME …] [--quick] [--markdown FILE]`: measure, and say which bars are reached.

Exit status: 0 where everything ran (a bar that is missed is said, not punished), 1 where a part failed.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import msgspec

from bench import report, runner


def main(arguments: list[str]) -> int:
    """The command. Returns its exit status."""
    asked = parser().parse_args(arguments)
    if asked.child:
        found = runner.load(asked.child).run(asked.quick)
        print(msgspec.json.encode(found).decode())
        return 0
    results, failures = runner.measure(
        asked.only or runner.NAMES, asked.quick, lambda line: print(line, file=sys.stderr)
    )
    print(report.text(results, failures))
    if asked.markdown is not None:
        before = asked.markdown.read_text() if asked.markdown.exists() else ""
        asked.markdown.write_text(report.put_into(before, report.markdown(results, failures, asked.quick)))
    return 1 if failures else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m bench", description="Measure Roadstead against its bars.")
    made.add_argument("--only", nargs="+", choices=runner.NAMES, metavar="NAME", help=", ".join(runner.NAMES))
    made.add_argument("--quick", action="store_true", help="tiny sizes and one run: to see that everything works")
    made.add_argument("--markdown", type=pathlib.Path, metavar="FILE", help="put the tables between the file's marks")
    made.add_argument("--child", choices=runner.NAMES, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
