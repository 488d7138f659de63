"""Page and recording in one HTML file, which opens from disk and needs no server."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from urllib.parse import quote

from web.recording import RecordingError

PAGE = Path(__file__).with_name("page")
UNQUOTED = " !$'()*+,;=:@/?~[]{}|^`>"
"""What may stand in the address of a text as it is."""
TO_PAGE = str.maketrans("<&", ",.")
"""Of base 85, the letters that mean something in HTML."""


def write(recording: Path, html: Path) -> None:
    """Raises RecordingError."""
    try:
        packed = gzip.compress(gzip.decompress(recording.read_bytes()), 9, mtime=0)
        html.write_text(page_with(packed), encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{error.filename or html}: {error.strerror}") from None


def page_with(packed: bytes) -> str:
    """The page's text with a run in it. The page's import map names modules by addresses of their own text."""
    modules = {
        f"page/{file.name}": "data:text/javascript;charset=utf-8,"
        + quote(file.read_text(encoding="utf-8"), safe=UNQUOTED)
        for file in sorted(PAGE.glob("*.js"))
    }
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    run = base64.b85encode(packed).decode().translate(TO_PAGE)
    replacements = {
        r'<link rel="stylesheet"[^>]*>': f"<style>\n{style}</style>",
        r'<script type="importmap">.*?</script>': '<script type="importmap">'
        + json.dumps({"imports": modules})
        + "</script>",
        r'<script type="module" src="main.js"></script>': '<script type="module">import "page/main.js";</script>',
        r"</body>": f'<script type="application/gzip" id="run">{run}</script>\n</body>',
    }
    for pattern, text in replacements.items():
        before, found, after = _parts(page, pattern)
        assert found, pattern
        page = before + text + after
    return page


def _parts(page: str, pattern: str) -> tuple[str, str, str]:
    """What is before, in and behind the one place that a pattern fits."""
    found = re.search(pattern, page, re.DOTALL)
    return (page[: found.start()], found[0], page[found.end() :]) if found else (page, "", "")
