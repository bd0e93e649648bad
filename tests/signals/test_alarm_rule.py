"""The AlarmRule of composite alarms: its grammar, what it says of wrong rules, and its value (behaviour.md 2.6.5)."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.signals import alarm_evaluation, alarm_rule

STATES = get_args(alarm_evaluation.State)
NAMES = st.one_of(
    st.sampled_from(
        ["a", "b", "c", "TRUE", "AND", "NOT", "ALARM", "two words", 'say "no"', "x(1)", "a,b", "back\\slash"]
    ),
    st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\"), min_size=1, max_size=8),
)


def written_ref(ref: str) -> str:
    is_bare = not any(each in ' (),"' for each in ref)
    return ref if is_bare else '"' + ref.replace('"', '\\"') + '"'


def written(rule: alarm_rule.Rule) -> str:
    """A rule as text, with brackets around each compound part."""
    match rule:
        case alarm_rule.Constant(value):
            return "TRUE" if value else "FALSE"
        case alarm_rule.InState(state, ref):
            return f"{state}({written_ref(ref)})"
        case alarm_rule.AtLeast(amount, is_percentage, is_negated, state, refs):
            listed = ", ".join(map(written_ref, refs))
            amount_text = f"{amount}%" if is_percentage else str(amount)
            return f"AT_LEAST({amount_text}, {'NOT ' if is_negated else ''}{state}, ({listed}))"
        case alarm_rule.Not(term):
            return f"NOT ({written(term)})"
        case alarm_rule.Both(terms):
            return " AND ".join(f"({written(term)})" for term in terms)
        case alarm_rule.Either(terms):
            return " OR ".join(f"({written(term)})" for term in terms)


@st.composite
def at_least(draw: st.DrawFn) -> alarm_rule.Rule:
    refs = tuple(draw(st.lists(NAMES, min_size=1, max_size=4)))
    is_percentage = draw(st.booleans())
    amount = draw(st.integers(1, 100 if is_percentage else len(refs)))
    return alarm_rule.AtLeast(amount, is_percentage, draw(st.booleans()), draw(st.sampled_from(STATES)), refs)


LEAVES = st.one_of(
    st.builds(alarm_rule.Constant, st.booleans()),
    st.builds(alarm_rule.InState, st.sampled_from(STATES), NAMES),
    at_least(),
)
RULES = st.recursive(
    LEAVES,
    lambda rules: st.one_of(
        rules.filter(lambda rule: not isinstance(rule, alarm_rule.Not)).map(alarm_rule.Not),
        st.lists(rules, min_size=2, max_size=3).map(lambda terms: alarm_rule.Both(tuple(terms))),
        st.lists(rules, min_size=2, max_size=3).map(lambda terms: alarm_rule.Either(tuple(terms))),
    ),
    max_leaves=12,
)


@given(RULES)
def test_a_rule_that_is_written_is_read_as_the_same(rule: alarm_rule.Rule) -> None:
    assert alarm_rule.parse(written(rule)) == rule


def naive(tokens: list[str], states: dict[str, str]) -> bool:
    """Python's own `not`, `and` and `or` bind as the rule's do."""
    words = {"NOT": "not", "AND": "and", "OR": "or", "TRUE": "True", "FALSE": "False", "(": "(", ")": ")"}
    source = " ".join(words.get(token) or str(states[token[6:-1]] == "ALARM") for token in tokens)
    return bool(eval(source, {"__builtins__": {}}))  # noqa: S307 - only the words above


@st.composite
def unbracketed(draw: st.DrawFn) -> list[str]:
    """Terms joined without brackets (but for some around a part), where only precedence decides."""
    tokens: list[str] = []
    for place in range(draw(st.integers(1, 7))):
        if place:
            tokens.append(draw(st.sampled_from(["AND", "OR"])))
        tokens.extend(["NOT"] * draw(st.integers(0, 2)))
        if draw(st.booleans()) or place == 0:
            tokens.append(draw(st.sampled_from(["ALARM(a)", "ALARM(b)", "ALARM(c)", "TRUE", "FALSE"])))
        else:
            tokens.extend(["(", *draw(unbracketed()), ")"])
    return tokens


@given(unbracketed(), st.lists(st.sampled_from(STATES), min_size=3, max_size=3))
def test_not_binds_before_and_and_and_before_or(tokens: list[str], states: list[str]) -> None:
    known = dict(zip("abc", states, strict=True))
    rule = alarm_rule.parse(" ".join(tokens))
    assert alarm_rule.evaluate(rule, lambda name: known[name]) is naive(tokens, known)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("AT_LEAST(2, ALARM, (a, b, c))", True),
        ("AT_LEAST(3, ALARM, (a, b, c))", False),
        ("AT_LEAST(66%, ALARM, (a, b, c))", True),
        ("AT_LEAST(67%, ALARM, (a, b, c))", False),
        ("AT_LEAST(1, NOT ALARM, (a, b, c))", True),
        ("AT_LEAST(2, NOT ALARM, (a, b, c))", False),
        ("NOT AT_LEAST(2, OK, (a, b, c))", True),
        ("INSUFFICIENT_DATA(c) AND NOT OK(c)", False),
        ("OK(c) AND (ALARM(a) OR FALSE)", True),
        ("true AND NOT False", True),
        ('ALARM("arn:aws:cloudwatch:us-east-1:123456789012:alarm:a")', True),
    ],
)
def test_rules_over_two_in_alarm_and_one_ok(text: str, holds: bool) -> None:
    states: dict[str, alarm_evaluation.State] = {"a": "ALARM", "b": "ALARM", "c": "OK"}
    assert alarm_rule.evaluate(alarm_rule.parse(text), states.__getitem__) is holds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("()", "Error in AlarmRule [Unsupported token ')' at char 1, must be: '(', 'NOT', AT_LEAST, "),
        ("ALARM(two words)", "Error in AlarmRule [Unsupported token 'words' at char 10, must be: ')']"),
        ("ALARM(a) ALARM(b)", "Error in AlarmRule [Unsupported token 'ALARM' at char 9, must be: AND, OR]"),
        ("ALARM(a) AND", "Error in AlarmRule [Unsupported token '<end>' at char 12, must be: '(', 'NOT'"),
        ("alarm(a)", "Error in AlarmRule [Unsupported token 'alarm' at char 0"),
        ("ALARM()", "must be: the name or the ARN of an alarm]"),
        ('ALARM("")', "must be: the name or the ARN of an alarm]"),
        ('ALARM("a)', "Error in AlarmRule [Unclosed quote at char 6]"),
        ("AT_LEAST(2, ALARM, (a))", "AT_LEAST needs 1 to 1, not 2, at char 9"),
        ("AT_LEAST(0%, ALARM, (a))", "AT_LEAST needs 1 to 100%, not 0%"),
        ("AT_LEAST(x, ALARM, (a))", "must be: a number, or a percentage]"),
        ("AT_LEAST(1, HIGH, (a))", "must be: ALARM, OK, or INSUFFICIENT_DATA]"),
        (" TRUE", "AlarmRule must not contain leading or trailing whitespace or be null"),
        (" OR ".join(["TRUE"] * 501), "AlarmRule can have at most 500 elements."),
        ("(" * 101 + "TRUE" + ")" * 101, "AlarmRule can have at most 100 brackets within brackets."),
    ],
)
def test_what_is_no_rule(text: str, problem: str) -> None:
    with pytest.raises(alarm_rule.RuleError) as raised:
        alarm_rule.parse(text)
    assert problem in raised.value.text


def test_the_longest_and_the_deepest_rule_are_read() -> None:
    deepest = alarm_rule.parse("(NOT " * 100 + "TRUE" + ")" * 100)
    assert alarm_rule.evaluate(deepest, lambda _name: "OK")
    longest = alarm_rule.parse("NOT " * 2559 + "TRUE")
    assert not alarm_rule.evaluate(longest, lambda _name: "OK")


def test_a_name_counts_once_wherever_it_stands() -> None:
    rule = alarm_rule.parse("ALARM(b) AND NOT (OK(a) OR AT_LEAST(50%, ALARM, (a, c, b)))")
    assert alarm_rule.refs(rule) == ("b", "a", "c")
