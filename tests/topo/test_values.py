"""What VALUE on the command line means."""

from __future__ import annotations

from pathlib import Path

import pytest

from topo.commands.values import _parse
from topo.errors import UsageError
from topo.views import client_requests
from topo.views.destination import Destination


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-1", -1),
        ("3.5", 3.5),
        ("héllo", "héllo"),
        ('"quoted"', "quoted"),
        ("null", None),
        ("true", True),
        ("9223372036854775808", 2**63),
        ('{"a": [1, 2]}', {"a": [1, 2]}),
        ("[1", "[1"),
        ("", ""),
        ("NaN", "NaN"),
    ],
)
def test_json_if_it_parses_else_a_string(text: str, value: object) -> None:
    parsed = _parse(text, False, False, None)
    assert parsed == value and type(parsed) is type(value)


def test_the_options_say_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(b"\x00\xff")
    assert _parse("42", True, False, None) == "42"
    assert _parse("00ff", False, True, None) == b"\x00\xff"
    assert _parse("0x00 ff", False, True, None) == b"\x00\xff"
    assert _parse(None, False, False, file) == b"\x00\xff"
    file.write_text("text")
    assert _parse(None, True, False, file) == "text"


def test_what_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(b"\xff")
    for arguments, told in [
        ((None, False, False, None), "give a VALUE"),
        (("1", False, False, file), "one of them"),
        (("zz", False, True, None), "'zz' is not hexadecimal"),
        (("1", True, True, None), "exclude"),
        ((None, True, False, file), "not UTF-8"),
        ((None, False, True, file), "--hex is for a VALUE"),
        ((None, False, False, tmp_path / "none"), "cannot read"),
        (("[" * 100_000, False, False, None), "deeper than 100 .* with --str the text is sent as it is"),
    ]:
        with pytest.raises(UsageError, match=told):
            _parse(*arguments)


@pytest.mark.parametrize("words", [("send", "[" * 100_000), ("put", "key", "[" * 100_000)])
def test_what_is_nested_too_deep_is_told(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="deeper than 100"):
        client_requests.call_of(words[0], words[1:])


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_no_time_is_no_timeout(seconds: float) -> None:
    """With one that is no number, a call would wait for ever."""
    way = Destination((("127.0.0.1", 9),), 1)
    with pytest.raises(UsageError, match=r"--timeout .*: choose seconds, more than 0"):
        client_requests.ask_on(way, client_requests.get("key"), seconds)
