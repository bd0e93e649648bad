"""Who a container runs as: `uid`, `uid:gid`, `name`, `name:group`, looked up in the image. Pure.

In: the user text and the image's /etc/passwd and /etc/group. Out: numbers and the home directory.
"""

from __future__ import annotations

import msgspec

ID_MAX = 2**32 - 2


class UnknownUser(Exception):
    """The image does not know this user or group."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    uid: int
    gid: int
    additional_gids: tuple[int, ...] = ()
    home: str = "/"


def resolve(user: str, passwd: str, group: str) -> Identity:
    """As Docker: a number needs no entry, a name does; without a group the entry's is taken, and its further groups."""
    name, colon, group_name = user.partition(":")
    entries = [line.split(":") for line in passwd.splitlines() if line.count(":") >= 5]
    groups = [line.split(":") for line in group.splitlines() if line.count(":") >= 2]
    name = name or "0"
    by_name = next((entry for entry in entries if entry[0] == name), None)
    entry = by_name or next((entry for entry in entries if name.isdigit() and entry[2] == name), None)
    if entry is None and not name.isdigit():
        raise UnknownUser(f"unable to find user {name}: no matching entries in passwd file")
    uid = _number(entry[2] if entry else name)
    gid = _number(entry[3]) if entry else 0
    additional: tuple[int, ...] = ()
    if colon and group_name:
        gid = _group(group_name, groups)
    elif entry is not None:
        members = (found for found in groups if len(found) > 3 and entry[0] in found[3].split(","))
        additional = tuple(sorted({_number(found[2]) for found in members}))
    # The first group is among the further ones too: else a process that drops to them alone could shake a denial off.
    further = (gid, *(each for each in additional if each != gid))
    return Identity(uid=uid, gid=gid, additional_gids=further, home=(entry[5] or "/") if entry else "/")


def _group(name: str, groups: list[list[str]]) -> int:
    found = next((entry for entry in groups if entry[0] == name), None)
    if found is not None:
        return _number(found[2])
    if name.isdigit():
        return _number(name)
    raise UnknownUser(f"unable to find group {name}: no matching entries in group file")


def _number(text: str) -> int:
    if not text.isdigit() or int(text) > ID_MAX:
        raise UnknownUser(f"uids and gids must be in range 0-{ID_MAX}: {text}")
    return int(text)
