"""SEARCH: which metrics a search expression finds (CloudWatch's page search-expression-syntax).

`SEARCH(' {Namespace, Dimension, …} term … ', 'Statistic', Period)`. Without quotes a term is split into tokens and
matches names in part; in double quotes it matches a whole name. A schema with dimensions finds metrics that have
exactly these; with a namespace alone those of any dimensions.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

import msgspec

from roadstead.signals import metrics, series
from roadstead.signals.math import problems

CHARACTERS_MAX = 1024
"""The longest search expression (AWS: "maximum search expression query size")."""
NESTING_MAX = 16
"""How deep brackets and NOTs may lie in each other."""
SERIES_MAX = 500
"""Metrics that one SEARCH gives."""
METRICS_SCANNED_MAX = 20_000
"""Metrics that one SEARCH looks at."""
CACHED_SEARCHES = 256
CACHED_NAMES = 8192

_HUMPS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_DELIMITERS = re.compile(r"[^A-Za-z0-9]+")
_LEXEME = re.compile(r'\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<symbol>[()=])|(?P<bare>[^\s()="]+))', re.DOTALL)
_SCHEMA_NAME = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",{}]+))\s*', re.DOTALL)

Matcher = Callable[[metrics.Metric], bool]


class Query(msgspec.Struct, frozen=True):
    """A parsed search expression. `namespace` and `dimensions` are the schema's; `name` is a metric name that all
    that is found must have, where one could be told from the terms.
    """

    namespace: str | None
    dimensions: tuple[str, ...]
    name: str | None
    matches: Matcher


class Found(msgspec.Struct, frozen=True):
    """What a search found, in the order of ListMetrics; `cut` where there may be more than the bounds allow."""

    metrics: tuple[metrics.Metric, ...]
    cut: bool


@functools.lru_cache(maxsize=CACHED_SEARCHES)
def parse(text: str) -> Query:
    """The query of a search expression. Raises MathError where it is none."""
    if len(text) > CHARACTERS_MAX:
        raise problems.MathError(f"The search expression is longer than {CHARACTERS_MAX} characters")
    namespace, dimensions, rest = _schema(text.strip())
    lexemes = list(_lexemes(rest))
    if namespace is None and not lexemes:
        raise _invalid("it needs a metric schema or a search term")
    if not lexemes:
        return Query(namespace, dimensions, None, lambda _metric: True)
    parser = _Parser(lexemes)
    matches = parser.either(None, 0)
    if parser.lexeme is not None:
        raise _invalid(f"unexpected {parser.lexeme[1]}")
    return Query(namespace, dimensions, _certain_name(lexemes), matches)


def find(view: series.SeriesView, query: Query, now: float) -> Found:
    """Up to SERIES_MAX metrics that the query finds among METRICS_SCANNED_MAX candidates."""
    listed = view.list_metrics(
        namespace=query.namespace,
        name=query.name,
        dimensions=tuple((name, None) for name in query.dimensions),
        now=now,
        limit=METRICS_SCANNED_MAX + 1,
    )
    found: list[metrics.Metric] = []
    for metric in listed[:METRICS_SCANNED_MAX]:
        if query.dimensions and len(metric.dimensions) != len(query.dimensions):
            continue
        if query.matches(metric):
            if len(found) == SERIES_MAX:
                return Found(tuple(found), True)
            found.append(metric)
    return Found(tuple(found), len(listed) > METRICS_SCANNED_MAX)


def label(metric: metrics.Metric, among: tuple[metrics.Metric, ...]) -> str:
    """What tells a found metric from the others: its dimensions' values, and its name where names differ."""
    values = " ".join(value for _, value in metric.dimensions)
    same = all(other.name == metric.name for other in among)
    return values if values and same else f"{values} {metric.name}".strip()


def _invalid(why: str) -> problems.MathError:
    return problems.MathError(f"Invalid search expression: {why}")


def _plain(quoted: str) -> str:
    """What stands in double quotes, without its escapes: quote, backslash and round brackets have them."""
    return re.sub(r'\\(["\\()])', r"\1", quoted)


def _schema(text: str) -> tuple[str | None, tuple[str, ...], str]:
    """(namespace, dimensions, what follows the schema)."""
    if not text.startswith("{"):
        return None, (), text
    names: list[str] = []
    place = 1
    while True:
        match = _SCHEMA_NAME.match(text, place)
        if match is None:
            raise _invalid("the metric schema needs a namespace, then names of dimensions")
        names.append(_plain(match[1]) if match[1] is not None else match[2])
        place = match.end()
        mark = text[place : place + 1]
        place += 1
        if mark == "}":
            return names[0], tuple(dict.fromkeys(names[1:])), text[place:].lstrip().removeprefix(",")
        if mark != ",":
            raise _invalid("the metric schema has no end")


def _lexemes(text: str) -> Iterator[tuple[str, str]]:
    text = text.rstrip()
    place = 0
    while place < len(text):
        match = _LEXEME.match(text, place)
        if match is None:
            raise _invalid("a quote has no end")
        kind = match.lastgroup
        assert kind is not None, "one of the groups matched"
        yield kind, match[kind]
        place = match.end()


def _certain_name(lexemes: list[tuple[str, str]]) -> str | None:
    """The name in `MetricName="…"` where it stands among other terms that must hold too: then it narrows the scan."""
    texts = [text for _, text in lexemes]
    if any(text in ("OR", "NOT", "(", ")") for text in texts):
        return None
    for place in range(len(lexemes) - 2):
        if texts[place : place + 2] == ["MetricName", "="] and lexemes[place + 2][0] == "quoted":
            return _plain(texts[place + 2][1:-1])
    return None


class _Parser:
    """either := both (OR both)*; both := not ([AND] not)*; not := NOT not | '(' either ')' | term."""

    def __init__(self, lexemes: list[tuple[str, str]]) -> None:
        self._lexemes = lexemes
        self._place = 0

    @property
    def lexeme(self) -> tuple[str, str] | None:
        return self._lexemes[self._place] if self._place < len(self._lexemes) else None

    def _takes(self, kind: str, text: str) -> bool:
        if self.lexeme == (kind, text):
            self._place += 1
            return True
        return False

    def either(self, of: str | None, depth: int) -> Matcher:
        """One of the alternatives; `of` is the property that its terms are about."""
        parts = [self._both(of, depth)]
        while self._takes("bare", "OR"):
            parts.append(self._both(of, depth))
        return parts[0] if len(parts) == 1 else lambda metric: any(part(metric) for part in parts)

    def _both(self, of: str | None, depth: int) -> Matcher:
        parts = [self._not(of, depth)]
        while self.lexeme is not None and self.lexeme not in (("bare", "OR"), ("symbol", ")")):
            self._takes("bare", "AND")
            parts.append(self._not(of, depth))
        return parts[0] if len(parts) == 1 else lambda metric: all(part(metric) for part in parts)

    def _not(self, of: str | None, depth: int) -> Matcher:
        if depth > NESTING_MAX:
            raise _invalid(f"it is nested deeper than {NESTING_MAX}")
        if self._takes("bare", "NOT"):
            inner = self._not(of, depth + 1)
            return lambda metric: not inner(metric)
        if self._takes("symbol", "("):
            inner = self.either(of, depth + 1)
            if not self._takes("symbol", ")"):
                raise _invalid("a bracket has no end")
            return inner
        return self._term(of, depth)

    def _term(self, of: str | None, depth: int) -> Matcher:
        lexeme = self.lexeme
        if lexeme is None or lexeme[0] == "symbol" or lexeme in (("bare", "AND"), ("bare", "OR")):
            raise _invalid(f"unexpected {lexeme[1]}" if lexeme is not None else "unexpected end")
        self._place += 1
        is_exact = lexeme[0] == "quoted"
        text = _plain(lexeme[1][1:-1]) if is_exact else lexeme[1]
        if of is None and self._takes("symbol", "="):
            if self._takes("symbol", "("):
                self._place -= 1
                return self._not(text, depth + 1)
            return self._term(text, depth)
        return _exact(text, of) if is_exact else _partial(text, of)


def _texts(metric: metrics.Metric, of: str | None) -> Iterator[str]:
    """The texts of a metric that a term is matched with: all of them, or those of one property."""
    if of is None:
        yield metric.namespace
        yield metric.name
        for name, value in metric.dimensions:
            yield name
            yield value
    elif of == "MetricName":
        yield metric.name
    elif of == "Namespace":
        yield metric.namespace
    else:
        for name, value in metric.dimensions:
            if name == of:
                yield value


def _exact(text: str, of: str | None) -> Matcher:
    return lambda metric: any(text == each for each in _texts(metric, of))


@functools.lru_cache(maxsize=CACHED_NAMES)
def tokens_of(text: str) -> tuple[str, ...]:
    """The tokens of a name, as they are written: `SDBFailure` is SDB, Failure; `Project2-trial333` four of them."""
    return tuple(_HUMPS.findall(text))


@functools.lru_cache(maxsize=CACHED_NAMES)
def _whole(text: str) -> str:
    """A name as one token: without delimiters, in lower case."""
    return _DELIMITERS.sub("", text).lower()


def _partial(text: str, of: str | None) -> Matcher:
    """Tokens of the term in a row among those of a name. A term of several humps without a delimiter between them is
    matched with case, as AWS's examples are: `Count1` finds `CustomCount1`, `count1` does not, `network-errors`
    finds `NetworkErrors2`.
    """
    whole = _whole(text)
    if not whole:
        raise _invalid(f"the term {text} has no letter or digit")
    wanted = tokens_of(text)
    with_case = len(wanted) > 1 and _DELIMITERS.search(text.strip()) is None
    if not with_case:
        wanted = tuple(token.lower() for token in wanted)

    def matches(name: str) -> bool:
        if _whole(name) == whole:
            return True
        tokens = tokens_of(name)
        if not with_case:
            tokens = tuple(token.lower() for token in tokens)
        return any(tokens[at : at + len(wanted)] == wanted for at in range(len(tokens) - len(wanted) + 1))

    return lambda metric: any(matches(each) for each in _texts(metric, of))
