"""What `switchraft feature list` and `status` say that each feature has done, and where members did without it."""

from __future__ import annotations

from typing import Any

from controller.names import AckFate, CopyFate, DropReason, EndFate
from controller.network import FEATURES
from controller.reads import shown_counters
from topo.views import effects, features, status

Json = dict[str, Any]


def packets(**counts: int) -> Json:
    return {name: {"packets": count, "bytes": 100 * count} for name, count in counts.items()}


def counters(**sections: Json) -> Json:
    """Of a switch that has counted this and nothing else."""
    return {**shown_counters(()), **sections}


def nodes(*counts: Json) -> Json:
    return {f"h{number}": {"groups": [{"group": 1, "counts": one}]} for number, one in enumerate(counts, 1)}


def test_what_was_done_is_of_all_switches_together_and_of_those_that_answer() -> None:
    found = effects.did(
        {
            "s1": counters(
                copies=packets(to_member=3, over_trunk=4, back=9), drops=packets(stale_term=2, no_route=8)
            ),
            "s2": counters(copies=packets(to_member=5), redirects=packets(**{"0": 6, "7": 1})),
            "s3": {"error": "no switch answers there"},
        }
    )
    assert found == {
        "term_filter": {"of lower terms dropped": 2},
        "leader_route": {"requests taken to the leader": 7},
        "append_fanout": {"copies for members": 8, "over trunks": 4},
    }


def test_every_feature_that_switches_count_by_is_told_under_its_own_name() -> None:
    found = effects.did(
        {
            "s1": counters(
                messages=packets(Configuration=1, AppendEntries=50),
                drops=packets(not_member=2, over_limit=3, kept=70),
                reads=packets(**{"1/2": 4}),
                acknowledgements=packets(news=60, carried=5, kept=6, superseded=1),
                ends=packets(told=7, too_soon=80),
            )
        },
        [{"hints": {"gone": 8, "cut_off": 0}}, {"hints": {"gone": 1}}],
    )
    assert found == {
        "configuration": {"told": 1},
        "member_guard": {"of strangers dropped": 2},
        "client_limit": {"over the limit dropped": 3},
        "read_route": {"reads taken to a member": 4},
        "ack_gather": {
            "acknowledgements carried in another one's packet": 5,
            "kept": 6,
            "overtaken by their sender's next": 1,
        },
        "leader_gone": {"ends told by hosts": 7, "hints given: gone": 9},
    }


def test_names_are_those_by_which_features_are_known_and_switches_count() -> None:
    known = {one.name.lower() for kind in (AckFate, CopyFate, DropReason, EndFate) for one in kind}
    known |= {effects.ANY, "Configuration"}
    for section, cells in effects.DONE.values():
        assert section in shown_counters(()) and cells.keys() <= known
    assert effects.GIVEN_UP.keys() <= effects.DONE.keys()
    assert effects.DONE.keys() == {*FEATURES, *features.WHAT} - {"leader_watch"}, "that one counts nothing"


def test_what_was_given_up_is_of_all_members_together() -> None:
    fell_back = {"fanout_fallbacks": 2, "fanout_fallbacks_entries": 1, "fanout_trials_in_vain": 0, "gather_pauses": 3}
    told = nodes(fell_back, {"fanout_fallbacks": 4}, {})
    told["h9"] = {"error": "no answer"}
    assert effects.given_up(told) == {
        "append_fanout": {
            "for one member, as it answered no copies": 6,
            "of these, as it answered heartbeats' copies and not entries'": 1,
        },
        "ack_gather": {"for a pause, as a commit came by heartbeats' answers alone": 3},
    }


def test_features_are_told_to_people_in_lines() -> None:
    found = {
        "ack_gather": {"at": {"s1": True, "s2": False}, "did": {"kept": 1234}, "given_up": {"for a pause": 2}},
        "leader_watch": {"at": {"s1": False, "s2": False}, "did": {}, "given_up": {}},
    }
    lines = features.render(found).split("\n")
    assert [line.split()[:2] for line in lines] == [
        ["ack_gather", "off"],
        ["so", "far:"],
        ["given", "up:"],
        ["leader_watch", "off"],
    ]
    assert lines[0].startswith("ack_gather     off at s2")
    assert (lines[1].strip(), lines[2].strip()) == ("so far: 1,234 kept", "given up: 2 times for a pause")


def test_status_says_what_was_given_up() -> None:
    whole = {
        "topology": "triangle",
        "switch": "embedded",
        "nodes": {"h1": {"state": "paused", "error": "no answer"}, "h2": {"state": "by hand", **nodes({})["h1"]}},
        "switches": {},
        "controller": {"state": "running", "error": None},
        **{name: {} for name in ("groups", "links", "features", "limits", "broken")},
    }
    entry = {"role": "leader", "term": 1, "leader": 2, "commit": 1, "applied": 1, "last_index": 1}
    whole["nodes"]["h2"]["id"] = 2
    whole["nodes"]["h2"]["groups"][0] |= {**entry, "counts": {"gather_pauses": 5}}
    shown = [str(part) for part in status.render(whole).renderables]  # type: ignore[union-attr]
    assert "ack_gather, given up: 5 times for a pause, as a commit came by heartbeats' answers alone" in shown
