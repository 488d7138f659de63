"""The files beside the metrics: alert rules, a dashboard, and a configuration of Prometheus that knows both ends."""

from __future__ import annotations

from pathlib import Path

from topo.errors import FileError

FOLDER = Path(__file__).with_name("files")
RULES = FOLDER / "alerts.yml"
DASHBOARD = FOLDER / "dashboard.json"
CONFIGURATION = FOLDER / "prometheus.yml"

TARGET = "127.0.0.1:9464"
"""Where ``switchraft metrics`` serves unless told otherwise; the configuration's target."""


def write(folder: Path, target: str = TARGET) -> list[Path]:
    """Write the files to ``folder``, with ``target`` as what Prometheus scrapes; their paths. Raises FileError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for source in (CONFIGURATION, RULES, DASHBOARD):
            path = folder / source.name
            content = source.read_text(encoding="utf-8")
            path.write_text(content.replace(TARGET, target) if source is CONFIGURATION else content, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise FileError(f"{error.filename or folder}: {error.strerror}: choose another folder for --write") from error
    return written
