"""A container's files in /etc made by the runtime: hosts, hostname, resolv.conf. Pure but for `host_resolvers`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

_LOCALHOST = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
FALLBACK_SERVERS = ("1.1.1.1", "8.8.8.8")
"""Where the host's own resolvers all sit on its loopback, which a container can't reach. Docker does the same."""


def hosts(hostname: str, address: str | None, extra: Iterable[tuple[str, str]]) -> str:
    lines = [_LOCALHOST, f"{address or '127.0.1.1'}\t{hostname}\n"]
    lines += [f"{where}\t{name}\n" for name, where in extra]
    return "".join(lines)


def resolv_conf(host_text: str, servers: Sequence[str], search: Sequence[str], own_network: bool) -> str:
    """The container's resolv.conf: what is asked for, else the host's, without loopback servers if `own_network`."""
    lines = [line.split("#")[0].split() for line in host_text.splitlines()]
    if not servers:
        servers = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
        if own_network:
            servers = [server for server in servers if not server.startswith("127.") and server != "::1"]
            servers = servers or list(FALLBACK_SERVERS)
    if not search:
        search = next((words[1:] for words in lines if words[:1] in (["search"], ["domain"])), ())
    options = next((words[1:] for words in lines if words[:1] == ["options"]), [])
    text = "".join(f"nameserver {server}\n" for server in servers)
    text += f"search {' '.join(search)}\n" if search else ""
    return text + (f"options {' '.join(options)}\n" if options else "")


def host_resolvers() -> str:
    """The host's resolv.conf; systemd-resolved's real one where the usual one only names its stub."""
    usual, behind = Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")
    try:
        text = usual.read_text()
    except OSError:
        text = ""
    if "127.0.0.53" in text and behind.exists():
        return behind.read_text()
    return text
