from typing import Any

METHOD_NAMES: tuple[str, ...]
KIND_NAMES: tuple[str, ...]
REFUSALS: tuple[str, ...]

def refusal(data: bytes) -> str: ...
def parse(data: bytes, family: int = 4) -> dict[str, Any] | None: ...
def build_query(
    method: str,
    *,
    id: bytes,
    tid: int,
    target: bytes | None = None,
    want: int = 0,
    read_only: bool = False,
    token: bytes | None = None,
    port: int = 0,
    implied_port: bool = False,
    seed: bool = False,
    noseed: bool = False,
    scrape: bool = False,
    value: bytes | None = None,
    key: bytes | None = None,
    signature: bytes | None = None,
    salt: bytes | None = None,
    seq: int | None = None,
    cas: int | None = None,
) -> bytes: ...
def build_reply(
    *,
    id: bytes,
    tid: bytes,
    external: bytes | None = None,
    nodes: bytes | None = None,
    nodes6: bytes | None = None,
    values: list[bytes] | None = None,
    token: bytes | None = None,
    value: bytes | None = None,
    key: bytes | None = None,
    signature: bytes | None = None,
    seq: int | None = None,
    samples: bytes | None = None,
    num: int | None = None,
    interval: int | None = None,
    seed_filter: bytes | None = None,
    peer_filter: bytes | None = None,
) -> bytes: ...
def build_error(tid: bytes, code: int, text: str, external: bytes | None = None) -> bytes: ...
