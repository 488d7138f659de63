"""The benchmark of scraping: a short run of the real thing on loopback, and its figures."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from bench.consensus.metrics import SHIPPED_INTERVAL_S, Scraper, summary
from bench.consensus.pairs import Pair, interval_of_median
from tests import forked
from topo.errors import LabError
from topo.metrics import files


def test_a_run_on_loopback(tmp_path: Path) -> None:
    words = "metrics --loopback --pairs 2 --seconds 0.5 --interval 0.2 --outstanding 4 --json"
    done = forked.run("bench.__main__", *words.split(), timeout=300, SWITCHRAFT_BUILD=str(tmp_path))
    told = json.loads(done.stdout)
    assert done.returncode == (not told["costs less than 2 %"]), done.stderr
    assert len(told["pairs"]) == 2 and all(pair["scraped"] > 0 and pair["alone"] > 0 for pair in told["pairs"])
    assert told["scrapes"] >= 4 and told["bytes of a scrape"] > 1000


def test_figures() -> None:
    pairs = [Pair(99.0, 100.0), Pair(90.0, 100.0), Pair(104.0, 100.0)]
    scraper = Scraper("http://nowhere/metrics", 1.0, seconds=[0.01, 0.02, 0.03], bytes=5)
    told = summary(pairs, scraper, 0.09)
    assert told["ratio, median"] == "0.9900" and told["costs less than 2 %"]
    assert told["ratio, extremes"] == told["ratio, 95 % of confidence"] == "0.900 to 1.040", "three are few"
    assert told["exporter's CPU ms a scrape"] == pytest.approx(30.0)
    assert not summary(pairs[1:2], scraper, 0.09)["costs less than 2 %"]


def test_the_shipped_interval_is_that_of_the_configuration() -> None:
    configuration = yaml.safe_load(files.CONFIGURATION.read_text(encoding="utf-8"))
    assert configuration["global"]["scrape_interval"] == f"{SHIPPED_INTERVAL_S:g}s"


def test_where_a_median_lies() -> None:
    """As in tables of the sign test: of 10 values between the 2nd and the 9th, of 30 the 10th and the 21st."""
    assert interval_of_median(range(1, 11)) == (2, 9)
    assert interval_of_median(range(1, 31)) == (10, 21)
    assert interval_of_median(range(1, 6)) == (1, 5), "too few to say"


def test_a_scrape_that_fails_ends_the_benchmark() -> None:
    scraper = Scraper("http://127.0.0.1:1/metrics", 0.01)
    with pytest.raises(LabError, match=r"127\.0\.0\.1:1/metrics could not be scraped"), scraper.running():
        while not scraper.seconds:
            time.sleep(0.01)
