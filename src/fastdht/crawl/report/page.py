"""The report page: what a mode's module tells, filled into the template. Rate class: command."""
from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from fastdht import __version__
from fastdht.crawl.layout import NOTE, SUMMARY, read_json
from fastdht.crawl.report.columns import require_arrow
from fastdht.crawl.report.content import Page, Source
from fastdht.errors import PersistError

TEMPLATE = "page.html.j2"
# Mode in crawl.json → the module here that has `build`
MODES = {"census": "census", "harvest": "harvest", "peers": "peers", "scrape": "scrape", "metadata": "metadata",
         "monitor": "monitor", "size": "size"}


def write_report(directory: Path, out: Path) -> None:
    """Write the page of what is in `directory` to `out`. Raises PersistError."""
    source = read_source(directory)
    html = render(build(source), source)
    try:
        out.write_text(html, encoding="utf-8", errors="replace")
    except OSError as error:
        raise PersistError(f"cannot write {out}: {error.strerror or error}") from error


def read_source(directory: Path) -> Source:
    """The notes of a directory; raises PersistError when it is of no crawl."""
    note = read_json(directory / NOTE)
    if note is None:
        raise PersistError(f"{directory} holds no crawl: {NOTE} is missing or unreadable")
    return Source(directory, note, read_json(directory / SUMMARY) or {})


def build(source: Source) -> Page:
    """The content of the page. Raises PersistError: a mode that nobody knows, a part that is none."""
    mode = source.note.get("mode", "census")
    if mode not in MODES:
        raise PersistError(f"{source.directory} is of mode {mode!r}; reports are of {', '.join(MODES)}")
    require_arrow()
    require_drawing()
    maker: Callable[[Source], Page] = import_module(f"fastdht.crawl.report.{MODES[mode]}").build
    try:
        return maker(source)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise PersistError(f"{source.directory} is not what fastdht writes: {error!r}") from error


def require_drawing() -> None:
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PersistError(f"the report needs {error.name}: pip install 'fastdht[report]'") from None


def render(page: Page, source: Source) -> str:
    """The page as HTML."""
    import jinja2

    text = resources.files("fastdht.crawl.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)
    html: str = template.render(
        page=page, command=source.note.get("command", ""), notice=notice(source.note, source.summary),
        version=__version__, began=began(source.note), made=written(datetime.datetime.now(datetime.UTC)))
    return html


def written(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC")


def began(note: dict[str, Any]) -> str:
    """When the run was begun, where its id tells: one of version 7 does (RFC 9562), mere digits do not."""
    try:
        number = uuid.UUID(note["id"])
        if number.version != 7 or "-" not in note["id"]:
            return ""
        return written(datetime.datetime.fromtimestamp((number.int >> 80) / 1000, datetime.UTC))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return ""


def notice(note: dict[str, Any], summary: dict[str, Any]) -> str:
    """Why the run is not whole; empty when it is."""
    state, reason = note.get("state"), note.get("reason") or summary.get("reason")
    if state == "complete":
        return ""
    if state == "running":
        return "Partial: this has not ended. It is still running, or it was killed; what is whole on the disk counts."
    if state == "partial":
        return f"Partial: {reason or 'stopped before its end'}."
    return f"Failed: {reason or 'ended by an error'}."
