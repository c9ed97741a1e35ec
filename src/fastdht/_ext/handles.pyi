from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

from fastdht._ext.walks import LookupSlots, Walk

_R = TypeVar("_R")
_H = TypeVar("_H", bound=Handle[Any])

class Walks:
    slots: list[LookupSlots]
    def __init__(self, entries: Callable[[], Sequence[bytes]]) -> None: ...
    def join(
        self,
        handle_class: type[_H],
        make_walk: Callable[[Any, Any], Walk],
        method: int,
        target: bytes,
        config: Any,
        noseed: bool,
        scrape: bool,
        is_read: bool,
    ) -> _H | None: ...
    def cancel(self) -> None: ...

class Handle(Generic[_R]):
    def __init__(self, walk: Walk) -> None: ...
    @property
    def walk(self) -> Walk: ...
    @property
    def is_cancelled(self) -> bool: ...
    @property
    def report(self) -> _R | None: ...
    def __await__(self) -> Generator[Any, None, _R]: ...
    def done(self) -> bool: ...
    def cancel(self) -> None: ...
