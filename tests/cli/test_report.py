"""`fastdht crawl report`: one page that loads nothing, drawn by a real browser."""
from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SEED

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NODES = 3000


def report(*args: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "fastdht", "crawl", "report", *args], text=True, timeout=100,
                          capture_output=True, env=os.environ | {"COLUMNS": "100"}, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    rng = random.Random(SEED)
    folder = tmp_path / "crawl"
    (folder / "parts" / "nodes").mkdir(parents=True)
    rows = [{"ip": f"198.51.{rng.randrange(100)}.{rng.randrange(250)}", "port": 6881, "id": rng.randbytes(20).hex(),
             "status": "ok", "rtt_us": int(rng.lognormvariate(11, 1)), "v": "4c54020b", "bep42": i % 2 == 0}
            for i in range(NODES)]
    (folder / "parts" / "nodes" / "part-0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "crawl.json").write_text(json.dumps({"state": "complete", "command": "<script>alert(1)</script>"}))
    (folder / "summary.json").write_text(json.dumps(
        {"sent": 9000, "answered": 5000, "timeouts": 4000, "contacts": 6000, "elapsed_s": 12.0, "filtered": {"bogon": 3}}))
    (folder / "timeline.jsonl").write_text("".join(
        json.dumps({"elapsed_s": i, "sent": 900 * i, "found": 300 * i, "contacts": 600 * i, "rate": 900.0,
                    "found_rate": 300.0}) + "\n" for i in range(11)))
    return folder


def test_page_loads_nothing_and_escapes_what_it_shows(crawl: Path) -> None:
    code, output, errors = report(str(crawl))
    assert (code, errors) == (0, "")
    page = Path(output.strip()).read_text(encoding="utf-8")
    assert f"{NODES:,}" in page
    assert "<script" not in page
    assert page.count("<svg ") == 8
    loaded = [link for link in re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page) if not link.startswith("#")]
    assert loaded == []
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [360, 1200])
def test_browser_shows_the_page_without_sideways_scrolling(crawl: Path, tmp_path: Path, width: int) -> None:
    report(str(crawl), "--out", str(tmp_path / "page.html"))
    probe = tmp_path / "probe.html"
    probe.write_text(f"""<body style="margin:0"><iframe id=f src=page.html style="width:{width}px;height:900px;border:0"></iframe>
        <pre id=out></pre><script>onload = () => {{ const d = f.contentDocument; out.textContent = JSON.stringify({{
        wide: d.documentElement.scrollWidth, shown: [...d.querySelectorAll('svg')].every(s => s.getBoundingClientRect().height > 50),
        texts: d.querySelectorAll('svg text').length}}) }}</script>""")
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
                           "--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
                           probe.as_uri()], capture_output=True, text=True, timeout=100, check=False)
    match = re.search(r'<pre id="out">(.*?)</pre>', done.stdout)
    assert match, done.stderr[-500:]
    seen = json.loads(match[1])
    assert seen["wide"] <= width
    assert seen["shown"]
    assert seen["texts"] > 50


def test_directory_without_a_crawl_is_refused_in_one_line(tmp_path: Path) -> None:
    code, output, errors = report(str(tmp_path))
    assert (code, output, len(errors.splitlines())) == (1, "", 1)
    assert "crawl.json" in errors
