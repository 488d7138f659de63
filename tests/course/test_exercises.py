"""Each exercise: the start fails as its page says, the own files pass, and typical wrong answers are told why."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from course import blanks, build, check, packet_tests, seeds, working_copy
from course.exercises import EXERCISES, Exercise, find
from course.working_copy import WorkingCopy
from sim.run import compile_program
from topo import paths
from topo.cli import app
from topo.errors import FileError, LabError, UsageError

P4 = [one for one in EXERCISES if one.is_p4]
NAMES = [one.name for one in EXERCISES]


def solved(exercise: Exercise, folder: Path, *edits: tuple[str, str]) -> WorkingCopy:
    """A working copy with the project's own files, a little changed."""
    copy = working_copy.start(exercise, folder)
    for source in exercise.files:
        shutil.copyfile(paths.ROOT / source, copy.file(source))
    for old, new in edits:
        files = [copy.file(source) for source in exercise.files]
        (file,) = [one for one in files if old in one.read_text()]
        file.write_text(file.read_text().replace(old, new, 1))
    return copy


def told(copy: WorkingCopy, *, simulate: bool = False) -> tuple[check.Report, str]:
    lines: list[str] = []
    report = check.check(copy, lines.append, simulate=simulate)
    return report, "\n".join(lines)


STARTS = {
    "counting": ("the counter messages[5] (AppendEntries) holds 0 packets, expected 1", None),
    "stale-term": (
        "AppendEntries of member 3 in term 4 from 10.0.3.3 to 10.0.1.1 came in at port 4, and left by port 1 "
        "(to 10.0.1.1); expected: it is dropped",
        "No message was dropped for its stale term",
    ),
    "guard": (
        "AppendEntries of member 1 in term 5 from 10.0.1.11 to 10.0.2.2 came in at port 2, and left by port 3 "
        "(to 10.0.2.2); expected: it is dropped",
        "the guard holds",
    ),
    "leader-route": (
        "ClientRequest of group 1 from 10.0.1.11 to 10.0.2.2 came in at port 2, and left by port 3 (to 10.0.2.2); "
        "expected: it leaves by port 1",
        "No request was steered",
    ),
    "append-check": ("it accepted, up to entry 4; expected a REJECT", "log matching"),
}
"""What is said of the start: by the given tests, and by the seed."""


@pytest.mark.parametrize("name", NAMES)
def test_the_start_fails_as_its_page_says(name: str, tmp_path: Path) -> None:
    copy = working_copy.start(find(name), tmp_path / name)
    report, text = told(copy, simulate=True)
    tests, seed = STARTS[name]
    assert not report.passed
    assert tests in text
    page = " ".join((copy.folder / working_copy.TEXT_FILE).read_text().split())
    assert tests in page
    if seed is None:
        assert report.failed_seeds == []
        assert "No simulated seed fails because of it." in text
        assert f"switchraft exercise check {copy.folder} --replay 13 --web" in text
        return
    assert seed in text and seed.lower() in page.lower()
    (number,) = report.failed_seeds
    assert f"switchraft exercise check {copy.folder} --replay {number}" in text
    assert f"switchraft sim --replay {number} --web" in text


@pytest.mark.parametrize("name", NAMES)
def test_the_projects_own_files_pass(name: str, tmp_path: Path) -> None:
    report, text = told(solved(find(name), tmp_path / name), simulate=True)
    assert report.passed, text
    assert text.endswith("Passed.")


WRONG = [
    # Everything is counted, whether it is Raft's or not.
    ("counting", [("hdr.raft.isValid()", "hdr.ethernet.isValid()")], ["not Raft's passes and counts nowhere"]),
    # The last place is not shared.
    (
        "counting",
        [("hdr.raft.type < LAST_COUNTED_TYPE", "hdr.raft.type < 255")],
        ["Types from 31 up", "messages[31] (types above 30) holds 1 packets, expected 2"],
    ),
    # One off.
    (
        "counting",
        [("< LAST_COUNTED_TYPE", "< LAST_COUNTED_TYPE - 1")],
        ["A type that nobody knows, 30", "messages[30] (type 30) holds 0 packets, expected 1"],
    ),
    # The same term is taken for a lower one.
    (
        "stale-term",
        [("hdr.raft.term < term", "hdr.raft.term <= term")],
        ["A RequestVote of the same term, 5, passes", "was dropped (reason stale_term)"],
    ),
    # What was learnt holds for ever.
    ("stale-term", [(" && !lapsed", "")], ["A second has gone by", "was dropped (reason stale_term)"]),
    # Replies are dropped too.
    (
        "stale-term",
        [("meta.stale && request", "meta.stale")],
        ["no reply is dropped", "AppendEntriesReply of member 2"],
    ),
    # Trunks are taken for edges.
    ("guard", [("if (!meta.edge)", "if (false)")], ["over the trunk from s3", "was dropped (reason not_member)"]),
    # Clients' replies are left out.
    (
        "guard",
        [(" || hdr.raft.type == MessageType.client_reply", "")],
        ["a client reply as member 1: it is dropped", "ClientReply of group 1", "expected: it is dropped"],
    ),
    # Clients have to be members.
    (
        "guard",
        [("} else if (meta.peer || hdr.raft.type == MessageType.client_reply) {", "} else {")],
        ["a client is no member and need not be", "ClientRequest of group 1", "was dropped (reason not_member)"],
    ),
    # The checksum is left as it was.
    (
        "leader-route",
        [("        update_udp_checksum.apply(hdr.udp, hdr.ipv4.dst_addr, ", "        // ")],
        ["left by port 1 as it must, but the UDP checksum is"],
    ),
    # What the client wants is not heard.
    ("leader-route", [("(hdr.raft.flags & FLAG_NO_STEER) == 0", "true")], ["NO_STEER goes to h2", "left by port 1"]),
    # Every switch steers.
    ("leader-route", [("meta.edge && ", "")], ["over a trunk goes as addressed"]),
    # Whether there is a leader is not asked.
    ("leader-route", [("(steer && meta.leader != NOBODY)", "steer")], ["Group 2 has no leader. A request to h1"]),
    # Only that the entry is there is looked at, not its term.
    (
        "append-check",
        [("elif log.term_at(prev) != message.log_term", "elif log.term_at(prev) is None")],
        ["The entry before has another term", "it accepted, up to entry 4; expected a REJECT"],
    ),
    # The leader's commit index is believed.
    (
        "append-check",
        [("min(message.commit, self._agreed)", "message.commit")],
        ["the follower agrees up to 2", "it is committed up to 3, expected 2"],
    ),
    # It goes back.
    (
        "append-check",
        [("max(log.commit_index, min(message.commit, self._agreed))", "min(message.commit, self._agreed)")],
        ["it never goes back", "it is committed up to 1, expected 3"],
    ),
    # Late messages are judged like others.
    (
        "append-check",
        [("if prev < log.commit_index:", "if False:")],
        ["a snapshot has taken the place of the entries", "it rejected; expected that it acknowledges up to entry 4"],
    ),
]


@pytest.mark.parametrize(("name", "edits", "says"), WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(
    name: str, edits: list[tuple[str, str]], says: list[str], tmp_path: Path
) -> None:
    report, text = told(solved(find(name), tmp_path / name, *edits))
    assert not report.passed
    for one in says:
        assert one in text, text


def test_each_exercise_has_three_wrong_answers() -> None:
    assert all(sum(wrong[0] == name for wrong in WRONG) >= 3 for name in NAMES)


def test_a_seed_tells_of_a_follower_that_believes_too_much(tmp_path: Path) -> None:
    copy = solved(find("append-check"), tmp_path / "x", ("min(message.commit, self._agreed)", "message.commit"))
    (failed,) = seeds.try_seeds(copy, compile_program(), copy.exercise.seeds)
    assert failed.why[0] == "A member has acknowledged what its disk does not hold."


# -- what can go wrong by the way ---------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", P4, ids=lambda one: one.name)
def test_the_given_packets_are_stf_as_everybody_reads_it(exercise: Exercise, tmp_path: Path) -> None:
    copy = working_copy.start(exercise, tmp_path / "x")
    command = [sys.executable, "-m", "p4switch.stf", "p4/raft.p4", str(copy.folder / "packets.stf")]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_case_says_what_must_happen() -> None:
    for exercise in P4:
        cases = packet_tests.read(exercise.tests())
        assert len(cases) >= 6
        assert all(len(case.says.split()) > 4 for case in cases)


def test_a_blank_takes_away_what_it_names_and_nothing_else() -> None:
    for exercise in EXERCISES:
        for file, text in blanks.cut(paths.ROOT, exercise.blanks).items():
            own = (paths.ROOT / file).read_text().splitlines()
            left = text.splitlines()
            assert "Your part" in text
            kept = [line for line in own if line in left]
            assert len(own) - 20 < len(kept) < len(own), file


def test_a_part_that_is_not_there_is_an_error() -> None:
    file = "p4/include/message_count.p4"
    for blank in (
        blanks.ApplyBlock(file, "no_such_control", ""),
        blanks.P4Statement(file, "message_count", "no such words", ""),
        blanks.PythonStatement("hosts/raft/following.py", "on_append_entries", "no such words", ""),
    ):
        with pytest.raises(LabError, match=r"no[ _]such"):
            blanks.cut(paths.ROOT, (blank,))


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(UsageError, match="left as it is"):
        working_copy.start(find("guard"), tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exercise start NAME"):
        working_copy.read(tmp_path)
    copy = working_copy.start(find("guard"), tmp_path / "x")
    copy.file(copy.exercise.files[0]).unlink()
    with pytest.raises(FileError, match=r"member_guard\.p4 is gone"):
        working_copy.read(copy.folder)
    with pytest.raises(UsageError, match="there is no exercise dancing: there are counting"):
        find("dancing")


def test_the_compiler_names_the_students_file(tmp_path: Path) -> None:
    copy = solved(find("counting"), tmp_path / "x", ("messages.count(", "message.count("))
    report, text = told(copy, simulate=True)
    assert not report.passed
    assert f"{copy.file(copy.exercise.files[0])}:" in text
    assert report.failed_seeds == []


def test_a_table_that_nothing_applies_is_told(tmp_path: Path) -> None:
    copy = solved(find("stale-term"), tmp_path / "x", ("term_filter.apply();", ""))
    report, text = told(copy, simulate=True)
    assert "table term_filter is never applied" in text
    assert "expected: it is dropped" in text
    assert report.failed_seeds == []


def test_python_that_is_none_is_told(tmp_path: Path) -> None:
    copy = solved(find("append-check"), tmp_path / "x", ("elif log.term_at(prev)", "elif log.term_at(prev"))
    _, text = told(copy, simulate=True)
    assert f"{copy.file(copy.exercise.files[0])}, line" in text


def test_a_loop_without_an_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "LONGEST_S", 2)
    copy = solved(find("append-check"), tmp_path / "x", ("        if entries:\n", "        while True:\n"))
    report, text = told(copy)
    assert not report.passed and "a loop without an end" in text


def test_a_students_own_cases_are_run_too(tmp_path: Path) -> None:
    copy = solved(find("append-check"), tmp_path / "x")
    with (copy.folder / "entries.txt").open("a") as file:
        file.write("\n# My own.\nlog 1\nappend 1 1 9 commit 0\nmatch 3\n")
    report, text = told(copy)
    assert not report.passed
    assert "My own." in text and "it acknowledged up to 2, expected 3" in text


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (
            "# Mine: type 7 was never sent.\ncheck_counter ingress.message_count.messages(7) packets == 1",
            "Mine: type 7",
        ),
        ("packet 1 nonsense", "a packet is pairs of hex digits"),
        ("add no.such.table a:1 b()", "no table no.such.table"),
    ],
)
def test_a_students_own_packets_are_sent_too(lines: str, error: str, tmp_path: Path) -> None:
    copy = solved(find("counting"), tmp_path / "x")
    with (copy.folder / "packets.stf").open("a") as file:
        file.write(f"\n{lines}\n")
    report, text = told(copy)
    assert not report.passed
    assert "packets        ok" in text and error in text.partition("your packets")[2]


@pytest.mark.parametrize(
    ("line", "error"),
    [("append x", "needs numbers"), ("dance", "none of the words"), ("append 1", "append PREV TERM")],
)
def test_cases_that_cannot_be_read_are_told(line: str, error: str, tmp_path: Path) -> None:
    copy = solved(find("append-check"), tmp_path / "x")
    (copy.folder / "entries.txt").write_text(f"# Mine.\nlog 1\n{line}\n")
    report, text = told(copy)
    assert not report.passed and error in text


def test_a_seed_is_replayed_with_the_students_work(tmp_path: Path) -> None:
    copy = working_copy.start(find("guard"), tmp_path / "x")
    result = CliRunner().invoke(app, ["exercise", "check", str(copy.folder), "--replay", "13", "--trace"])
    assert result.exit_code == 1
    assert "the guard holds: a forged message reached" in result.output
    assert "request_vote" in result.output and "It shows a mistake." in result.output


def test_a_seed_is_replayed_onto_a_page_with_the_students_work(tmp_path: Path) -> None:
    copy = working_copy.start(find("guard"), tmp_path / "x")
    page = tmp_path / "run.html"
    arguments = ["exercise", "check", str(copy.folder), "--replay", "13", "--html", str(page)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1, result.output
    text = page.read_text()
    assert f"{page}: " in result.output and 100_000 < len(text) < 5_000_000
    refused = CliRunner().invoke(app, arguments[:3] + arguments[5:])
    assert isinstance(refused.exception, UsageError) and "--html is about one seed" in str(refused.exception)
    refused = CliRunner().invoke(app, [*arguments, "--quick"])
    assert isinstance(refused.exception, UsageError) and "--quick leaves simulated seeds out" in str(
        refused.exception
    )


def test_the_list_names_all() -> None:
    result = CliRunner().invoke(app, ["exercise", "list"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == NAMES


def test_nothing_of_the_project_is_missing_in_its_own_program() -> None:
    assert not build.unused(compile_program())
