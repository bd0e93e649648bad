"""A page of a listing: so many records of an index's group, and the token that continues behind them.

Each service has its own limits, and its own words for a token that is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from roadstead.base import errors, pagination
from roadstead.model import record, tables
from roadstead.state import view as views

R = TypeVar("R", bound=record.Record)

SCAN_MAX = 1000
"""Records looked at for one page; a page that filters out more comes back shorter, with a token."""


def read(
    view: views.View,
    table: tables.Table[R],
    index: str,
    group: tables.Group,
    *,
    query: str,
    token: str | None,
    limit: int,
    refusal: errors.Refusal,
    first_after: tables.Order | None = None,
    matches: Callable[[R], bool] = lambda _one: True,
    ends: Callable[[R], bool] = lambda _one: False,
) -> tuple[list[R], str | None]:
    """Up to `limit` records of an index's group that match, and the token for those behind them.

    `query` is a text that tells this listing from others (operation, group and filters): for a token of another,
    `refusal` is raised. Without a token the page begins behind the place `first_after`; it is over at the first record
    that `ends`. `matches` filters what the index can't. At most SCAN_MAX records are looked at.
    """
    after = _place(query, token, refusal) if token is not None else first_after
    found: list[R] = []
    last: tables.Order | None = None
    for looked_at, (place, one) in enumerate(view.page(table, index, group, after, SCAN_MAX + 1)):
        if ends(one):
            break
        if len(found) == limit or looked_at == SCAN_MAX:
            assert last is not None, "a page looks at one record at least"
            return found, make_token(query, last)
        last = place
        if matches(one):
            found.append(one)
    return found, None


def make_token(query: str, place: tables.Order) -> str:
    """The token that continues a listing behind a place in its index."""
    return pagination.make_token(query, msgspec.json.encode(place).decode())


def _place(query: str, token: str, refusal: errors.Refusal) -> tables.Order:
    position = pagination.read_token(query, token)
    if position is None:
        raise refusal
    try:
        return tuple(msgspec.json.decode(position, type=list[str | int | float]))
    except msgspec.MsgspecError:
        raise refusal from None
