"""The AlarmRule of composite alarms: read into a tree, and worked out over the states of other alarms.

In: the rule's text. Out: a tree, or RuleError with CloudWatch's wording. The grammar is behaviour.md 2.6.5's; NOT
binds tightest, then AND, then OR:

    expr    := term (('AND' | 'OR') term)*
    term    := 'NOT' term | '(' expr ')' | state '(' ref ')' | 'TRUE' | 'FALSE'
             | 'AT_LEAST' '(' (int | int'%') ',' ['NOT'] state ',' '(' ref (',' ref)* ')' ')'
    state   := 'ALARM' | 'OK' | 'INSUFFICIENT_DATA'
    ref     := bare (no blank, round bracket or comma) | '"' … '"' with \\" for a quote: a name, or an ARN

TRUE and FALSE may have any case (AWS writes "to `false`" itself), the other words may not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import assert_never, get_args

import msgspec

from roadstead.base import arn
from roadstead.signals import alarm_evaluation

CHILDREN_MAX = 100
"""Alarms that one rule may name."""
ELEMENTS_MAX = 500
"""Alarms, TRUEs and FALSEs, and pairs of brackets in one rule (CloudWatch's user guide, composite alarms)."""
NESTING_MAX = 100
"""Brackets within brackets; AWS documents no bound of its own."""
RULES_KEPT_MAX = 4096
"""Rules whose trees are kept."""

_TOKEN = re.compile(
    r'[ \t\r\n]*(?:(?P<mark>[(),])|"(?P<quoted>(?:\\"|[^"\\]|\\(?!"))*)"|(?P<bare>[^ \t\r\n(),"][^ \t\r\n(),]*)|$)'
)
_AMOUNT = re.compile(r"(\d{1,9})(%?)", re.ASCII)
_STATES: tuple[alarm_evaluation.State, ...] = get_args(alarm_evaluation.State)
_TERMS = "'(', 'NOT', AT_LEAST, TRUE or FALSE, ALARM, OK, or INSUFFICIENT_DATA"
_STATE_WORDS = "ALARM, OK, or INSUFFICIENT_DATA"


class RuleError(Exception):
    """The text is no rule. `text` says where and why."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Constant(msgspec.Struct, frozen=True):
    """TRUE or FALSE."""

    value: bool


class InState(msgspec.Struct, frozen=True):
    """ALARM(ref), OK(ref), INSUFFICIENT_DATA(ref)."""

    state: alarm_evaluation.State
    ref: str
    """Name or ARN, as written but for its quotes."""


class AtLeast(msgspec.Struct, frozen=True):
    """AT_LEAST(amount, [NOT] state, (refs)): so many of the alarms, or percent of them, are (not) in a state."""

    amount: int
    is_percentage: bool
    is_negated: bool
    state: alarm_evaluation.State
    refs: tuple[str, ...]


class Not(msgspec.Struct, frozen=True):
    """The opposite. NOT NOT is read as nothing, so its term is never a Not."""

    term: Rule


class Both(msgspec.Struct, frozen=True):
    """AND: all of two terms or more."""

    terms: tuple[Rule, ...]


class Either(msgspec.Struct, frozen=True):
    """OR: any of two terms or more."""

    terms: tuple[Rule, ...]


Rule = Constant | InState | AtLeast | Not | Both | Either


def parse(text: str) -> Rule:
    """The rule in `text`. Raises RuleError."""
    if text != text.strip():
        raise RuleError("AlarmRule must not contain leading or trailing whitespace or be null")
    return _parsed(text)


def evaluate(rule: Rule, state_of: Callable[[str], alarm_evaluation.State]) -> bool:
    """Whether the rule holds, with `state_of(name)` for each alarm that it names."""
    match rule:
        case Constant(value):
            return value
        case InState(state, ref):
            return state_of(name_of(ref)) == state
        case AtLeast():
            found = sum((state_of(name_of(ref)) == rule.state) is not rule.is_negated for ref in rule.refs)
            return found * 100 >= rule.amount * len(rule.refs) if rule.is_percentage else found >= rule.amount
        case Not(term):
            return not evaluate(term, state_of)
        case Both(terms):
            return all(evaluate(term, state_of) for term in terms)
        case Either(terms):
            return any(evaluate(term, state_of) for term in terms)
        case _:
            assert_never(rule)


def refs(rule: Rule) -> tuple[str, ...]:
    """All names and ARNs in the rule, each once, in the order of the rule."""
    return tuple(dict.fromkeys(_refs(rule)))


def name_of(ref: str) -> str:
    """The alarm's name: the ref, or what its ARN names."""
    parsed = arn.parse(ref)
    if parsed is None or parsed.service != "cloudwatch":
        return ref
    return parsed.resource.removeprefix("alarm:")


def _refs(rule: Rule) -> Iterator[str]:
    match rule:
        case Constant():
            return
        case InState(_, ref):
            yield ref
        case AtLeast():
            yield from rule.refs
        case Not(term):
            yield from _refs(term)
        case Both(terms) | Either(terms):
            for term in terms:
                yield from _refs(term)
        case _:
            assert_never(rule)


# -- reading


class _Token(msgspec.Struct, frozen=True):
    """`kind` is the mark itself, `word`, `quoted`, or `end`."""

    kind: str
    text: str
    at: int


@functools.lru_cache(RULES_KEPT_MAX)
def _parsed(text: str) -> Rule:
    return _Reader(text).whole()


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            raise RuleError(f"Error in AlarmRule [Unclosed quote at char {at}]")
        kind = found.lastgroup
        if kind is None:
            yield _Token("end", "<end>", found.end())
            return
        start, at = found.start(kind), found.end()
        if kind == "mark":
            yield _Token(found[kind], found[kind], start)
        elif kind == "quoted":
            yield _Token(kind, found[kind].replace('\\"', '"'), start)
        else:
            yield _Token("word", found[kind], start)


class _Reader:
    """Reads one rule, token by token."""

    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._next = next(self._rest)
        self._elements = 0
        self._depth = 0

    def whole(self) -> Rule:
        rule = self._either()
        if self._next.kind != "end":
            raise self._unexpected("AND, OR")
        return rule

    def _either(self) -> Rule:
        terms = [self._both()]
        while self._took("OR"):
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else Either(tuple(terms))

    def _both(self) -> Rule:
        terms = [self._term()]
        while self._took("AND"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else Both(tuple(terms))

    def _term(self) -> Rule:
        is_negated = False
        while self._took("NOT"):
            is_negated = not is_negated
        term = self._bare_term()
        if not is_negated:
            return term
        return term.term if isinstance(term, Not) else Not(term)

    def _bare_term(self) -> Rule:
        token = self._next
        if token.kind == "(":
            return self._bracketed()
        if token.kind != "word":
            raise self._unexpected(_TERMS)
        if token.text.upper() in ("TRUE", "FALSE"):
            self._advance()
            self._count()
            return Constant(token.text.upper() == "TRUE")
        if self._took("AT_LEAST"):
            return self._at_least()
        state = self._state(_TERMS)
        self._expect("(")
        ref = self._ref()
        self._expect(")")
        return InState(state, ref)

    def _bracketed(self) -> Rule:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise RuleError(f"AlarmRule can have at most {NESTING_MAX} brackets within brackets.")
        self._count()
        self._expect("(")
        inner = self._either()
        self._expect(")")
        self._depth -= 1
        return inner

    def _at_least(self) -> Rule:
        self._expect("(")
        token, found = self._next, _AMOUNT.fullmatch(self._next.text)
        if token.kind != "word" or found is None:
            raise self._unexpected("a number, or a percentage")
        self._advance()
        self._expect(",")
        is_negated = self._took("NOT")
        state = self._state(_STATE_WORDS)
        self._expect(",")
        self._expect("(")
        named = [self._ref()]
        while self._next.kind == ",":
            self._advance()
            named.append(self._ref())
        self._expect(")")
        self._expect(")")
        amount, is_percentage = int(found[1]), bool(found[2])
        most = 100 if is_percentage else len(named)
        if not 1 <= amount <= most:
            raise RuleError(
                f"Error in AlarmRule [AT_LEAST needs 1 to {most}{'%' if is_percentage else ''}, not {token.text}, "
                f"at char {token.at}]"
            )
        return AtLeast(amount, is_percentage, is_negated, state, tuple(named))

    def _state(self, options: str) -> alarm_evaluation.State:
        for state in _STATES:
            if self._took(state):
                return state
        raise self._unexpected(options)

    def _ref(self) -> str:
        token = self._next
        if token.kind not in ("word", "quoted") or not token.text:
            raise self._unexpected("the name or the ARN of an alarm")
        self._advance()
        self._count()
        return token.text

    def _took(self, word: str) -> bool:
        """Whether the next token is that word; then it is passed."""
        if self._next.kind != "word" or self._next.text != word:
            return False
        self._advance()
        return True

    def _expect(self, mark: str) -> None:
        if self._next.kind != mark:
            raise self._unexpected(f"'{mark}'")
        self._advance()

    def _advance(self) -> None:
        self._next = next(self._rest)

    def _count(self) -> None:
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise RuleError(f"AlarmRule can have at most {ELEMENTS_MAX} elements.")

    def _unexpected(self, options: str) -> RuleError:
        token = self._next
        return RuleError(
            f"Error in AlarmRule [Unsupported token '{token.text}' at char {token.at}, must be: {options}]"
        )
