"""Virtual networks for tests: ours and yours. Rate class: command.

VirtualClock and VirtualLoop make time; SimNetwork carries datagrams in it; Testnet fills it with real nodes; Swarm
answers as millions of nodes over real UDP. Names are imported when first used, so that none pays for the others.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastdht.testing import builders, latency, liars
    from fastdht.testing.clock import VirtualClock, VirtualDeadlock, VirtualLoop, VirtualTimeout, run
    from fastdht.testing.nat import Nat, NatKind
    from fastdht.testing.network import SimNetwork
    from fastdht.testing.swarm import Swarm
    from fastdht.testing.testnet import JoinFailed, Testnet
    from fastdht.testing.trace import Packet, Trace
    from fastdht.testing.transport import SimTransport

CONTENTS = {
    "clock": ("VirtualClock", "VirtualDeadlock", "VirtualLoop", "VirtualTimeout", "run"),
    "nat": ("Nat", "NatKind"),
    "network": ("SimNetwork",),
    "swarm": ("Swarm",),
    "testnet": ("JoinFailed", "Testnet"),
    "trace": ("Packet", "Trace"),
    "transport": ("SimTransport",),
}
HOMES = {name: module for module, names in CONTENTS.items() for name in names}
MODULES = ("builders", "latency", "liars")

__all__ = ["JoinFailed", "Nat", "NatKind", "Packet", "SimNetwork", "SimTransport", "Swarm", "Testnet", "Trace",
           "VirtualClock", "VirtualDeadlock", "VirtualLoop", "VirtualTimeout", "builders", "latency", "liars", "run"]


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
