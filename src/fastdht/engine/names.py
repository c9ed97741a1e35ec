"""Entry hosts: from `host:port` to endpoints, off the loop. Rate class: second."""
from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable

from fastdht.errors import ConfigError, DecodeError
from fastdht.types import Endpoint

log = logging.getLogger(__name__)

RESOLVE_SECONDS = 5.0


def split_host(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`; raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ConfigError(f"bootstrap host {text!r}: host:port needed, with a port of 1 to 65535")
    return host.strip("[]"), int(port)


class HostList:
    """Bootstrap hosts, looked up anew on each call; numeric ones need no look-up."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = tuple(split_host(host) for host in hosts)

    def numeric(self) -> tuple[bytes, ...]:
        """Compact endpoints of the hosts given as addresses, both families."""
        return tuple(packed for host, port in self.hosts for packed in numeric_endpoint(host, port))

    async def __call__(self, family: int) -> tuple[bytes, ...]:
        """Compact endpoints of one family (4 or 6); what cannot be found in 5 seconds is left out."""
        found = await asyncio.gather(*(self._resolve(host, port, family) for host, port in self.hosts))
        return tuple(dict.fromkeys(packed for packeds in found for packed in packeds))

    async def _resolve(self, host: str, port: int, family: int) -> list[bytes]:
        packed = numeric_endpoint(host, port)
        if packed:
            return [each for each in packed if len(each) == (18 if family == 6 else 6)]
        return await self._look_up(host, port, family)

    async def _look_up(self, host: str, port: int, family: int) -> list[bytes]:
        kind = socket.AF_INET6 if family == 6 else socket.AF_INET
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                answers = await asyncio.get_running_loop().getaddrinfo(host, port, family=kind, type=socket.SOCK_DGRAM)
        except (OSError, TimeoutError) as error:
            log.info("bootstrap host %s: %s", host, error or "no answer from the name service")
            return []
        return [Endpoint(str(address[0]), int(address[1])).pack() for *_, address in answers]


def numeric_endpoint(host: str, port: int) -> list[bytes]:
    """The compact endpoint of a numeric address, in a list; an empty one for a name."""
    try:
        return [Endpoint.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}").pack()]
    except DecodeError:
        return []
