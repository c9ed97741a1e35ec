from fastdht._ext.observed import QueryLog
from fastdht._ext.state import State

class DirectQueries:
    state: State
    def query(
        self,
        method: int,
        endpoint: bytes,
        caller: int,
        now_us: int,
        *,
        target: bytes | None = None,
        token: bytes | None = None,
        port: int = 0,
        implied_port: bool = False,
        seed: bool = False,
        noseed: bool = False,
        scrape: bool = False,
        want: int = 0,
        expected_id: bytes | None = None,
        value: bytes | None = None,
        key: bytes | None = None,
        signature: bytes | None = None,
        salt: bytes | None = None,
        seq: int | None = None,
        cas: int | None = None,
    ) -> bool: ...
    def query_raw(self, endpoint: bytes, caller: int, now_us: int, head: bytes, tail: bytes) -> bool: ...
    def take_events(self) -> list[tuple[int, bytes, int, bytes | None, bool]]: ...
    def has_events(self) -> bool: ...
    def watch_queries(self, log: QueryLog | None) -> None: ...
