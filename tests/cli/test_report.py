"""`fastdht crawl report`: one page for each mode, that loads nothing, drawn by a real browser."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.report_kit import WRITERS, write_census

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (360, 390, 1280)
LEAST_CONTRAST = 4.5        # WCAG 2.1, level AA
LEAST_LETTERS = 8           # pixels of the font in a plot
SCHEMES: dict[str, tuple[str, ...]] = {"light": (), "dark": ("--force-dark-mode",)}
# What a reader would notice, measured in each frame: a sideways scroll bar, a plot of no height, letters too small
PROBE = """<body style="margin:0">{frames}<pre id=out></pre><script>onload = () => {{
const luminance = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
  .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
out.textContent = JSON.stringify([...document.querySelectorAll('iframe')].map(f => {{
const d = f.contentDocument, w = f.contentWindow, texts = [...d.querySelectorAll('svg text')];
const colour = (element, name) => luminance(w.getComputedStyle(element)[name]);
const contrast = (one, other) => (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
return {{mode: f.name, width: f.clientWidth, title: d.title, wide: d.documentElement.scrollWidth, page: colour(d.body,
  'backgroundColor'), plots: [...d.querySelectorAll('svg')].map(s => s.getBoundingClientRect().height),
  letters: Math.min(...texts.map(t => parseFloat(w.getComputedStyle(t).fontSize)
    * t.ownerSVGElement.getBoundingClientRect().width / t.ownerSVGElement.viewBox.baseVal.width)), texts: texts.length, contrast: Math.min(contrast(colour(d.body, 'color'), colour(d.body, 'backgroundColor')),
  ...texts.map(t => contrast(colour(t, 'fill'), colour(d.querySelector('section'), 'backgroundColor')))),
  asked: w.performance.getEntriesByType('resource').length}} }})) }}</script>"""


def report(*args: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "fastdht", "crawl", "report", *args], text=True, timeout=100,
                          capture_output=True, env=os.environ | {"COLUMNS": "100"}, check=False)
    return done.returncode, done.stdout, done.stderr


def test_page_loads_nothing_and_escapes_what_it_shows(tmp_path: Path) -> None:
    code, output, errors = report(str(write_census(tmp_path)))
    assert (code, errors) == (0, "")
    page = Path(output.strip()).read_text(encoding="utf-8")
    assert "3,000" in page
    assert "<script" not in page
    assert page.count("<svg ") == 9
    loaded = [link for link in re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page) if not link.startswith("#")]
    assert loaded == []
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_directory_without_a_crawl_is_refused_in_one_line(tmp_path: Path) -> None:
    code, output, errors = report(str(tmp_path))
    assert (code, output, len(errors.splitlines())) == (1, "", 1)
    assert "crawl.json" in errors


def test_directory_of_something_else_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "crawl.json").write_text('{"mode": "dance"}')
    code, output, errors = report(str(tmp_path))
    assert (code, output, len(errors.splitlines())) == (1, "", 1)
    assert "census, harvest" in errors


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of each mode, and one that shows all of them in frames."""
    from fastdht.crawl.report.page import write_report

    folder = tmp_path_factory.mktemp("pages")
    for mode, write in WRITERS.items():
        write_report(write(folder / f"{mode}-1"), folder / f"{mode}.html")
    frames = "".join(f'<iframe name={mode} src={mode}.html style="width:{width}px;height:900px;border:0"></iframe>'
                     for mode in WRITERS for width in WIDTHS)
    (folder / "probe.html").write_text(PROBE.format(frames=frames))
    return folder


@pytest.fixture(scope="module", params=SCHEMES)
def seen(pages: Path, request: pytest.FixtureRequest) -> tuple[str, list[dict[str, Any]]]:
    """What a browser in light or dark mode makes of each frame."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium: apt-get install chromium")
    done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
                           *SCHEMES[request.param], "--virtual-time-budget=5000",
                           f"--user-data-dir={pages / request.param}", "--dump-dom", (pages / "probe.html").as_uri()],
                          capture_output=True, text=True, timeout=100, check=False)
    match = re.search(r'<pre id="out">(.+?)</pre>', done.stdout)
    assert match, done.stderr[-500:]
    return request.param, json.loads(match[1])


def test_browser_shows_every_mode_in_full_width(seen: tuple[str, list[dict[str, Any]]]) -> None:
    _, frames = seen
    assert len(frames) == len(WRITERS) * len(WIDTHS)
    for frame in frames:
        assert frame["title"].lower() == f"{frame['mode']} {frame['mode']}-1"
        assert frame["wide"] <= frame["width"], f"{frame['mode']} scrolls sideways at {frame['width']} px"
        assert frame["plots"] and min(frame["plots"]) > 50
        assert frame["asked"] == 0, "it loaded something"


def test_browser_shows_letters_that_can_be_read(seen: tuple[str, list[dict[str, Any]]]) -> None:
    scheme, frames = seen
    for frame in frames:
        assert (frame["page"] < 0.2) == (scheme == "dark")
        assert frame["contrast"] >= LEAST_CONTRAST, frame
        assert frame["texts"] > 0
        assert frame["letters"] >= LEAST_LETTERS, frame
