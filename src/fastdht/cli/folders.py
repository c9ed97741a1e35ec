"""Arguments that name a crawl's directory, here or at a URL. Rate class: command."""
from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import click

from fastdht.cli.render import emit_remark
from fastdht.errors import DHTError

URL_KEY = "fastdht.url"         # in a context's meta: where a directory that was given as URL really is


class OutFolder(click.Path):
    """A directory for results; of a URL its stage, which is sent there until the command ends."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(path_type=Path, allow_dash=allow_dash)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from fastdht.crawl.remote import RemoteFolder, Sender, is_url

        if not isinstance(value, str) or not is_url(value) or ctx is None:
            return super().convert(value, param, ctx)
        try:
            remote = RemoteFolder(value)
            if remote.holds_crawl():
                self.fail(f"{value} holds a crawl already; `fastdht crawl resume {value}` goes on with one", param, ctx)
        except DHTError as error:
            self.fail(str(error), param, ctx)
        return send_from(remote, Sender(remote), ctx)


class CrawlFolder(click.Path):
    """A directory that holds a crawl; of a URL a copy, which goes away with the command. `goes_on` takes the stage
    of a URL instead, where there is one, and sends there what is added."""

    def __init__(self, *, goes_on: bool = False) -> None:
        super().__init__(exists=True, file_okay=False, path_type=Path)
        self._goes_on = goes_on

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from fastdht.crawl.layout import NOTE
        from fastdht.crawl.remote import RemoteFolder, Sender, is_url

        if not isinstance(value, str) or not is_url(value) or ctx is None:
            return super().convert(value, param, ctx)
        ctx.meta[URL_KEY] = value
        try:
            remote = RemoteFolder(value)
            if self._goes_on:
                if not (remote.stage / NOTE).exists():
                    remote.fetch(remote.stage)
                return send_from(remote, Sender(remote), ctx)
            copy = Path(tempfile.mkdtemp(prefix="fastdht-"))
            ctx.call_on_close(lambda: shutil.rmtree(copy, ignore_errors=True))
            return remote.fetch(copy)
        except DHTError as error:
            self.fail(str(error), param, ctx)


def send_from(remote: Any, sender: Any, ctx: click.Context) -> Path:
    def finish() -> None:
        if kept := sender.finish():
            emit_remark(f"what a resume needs is kept in {kept}")

    sender.start()
    ctx.call_on_close(finish)
    stage: Path = remote.stage
    return stage
