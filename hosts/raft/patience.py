"""How long a follower waits for a leader that has fallen silent."""

from __future__ import annotations

from enum import IntEnum

from hosts.raft.config import Config

LONG = 1 << 30
"""More ticks than anybody waits for."""


class Cause(IntEnum):
    """Why the network's controller gives a hint: the wire numbers of a CampaignHint's ``commit``."""

    GONE = 1
    """The leader's host has said that nobody is there."""
    CUT_OFF = 2
    """The leader's host answers nothing, and no switch hears it."""


class Patience:
    """A follower asks after a silent leader. Where nobody is there any more, the host's kernel may answer that. Then
    the follower waits for it no longer than until it asks: ``Config.probe_ticks``, and not the election timeout. A
    hint of the network's controller does likewise, but then it waits for two and a half heartbeats of its own
    silence.

    Either is advice, and may be forged or late. So it counts only while this member itself hears nothing, and is
    forgotten as soon as the leader speaks, or the term ends. It never counts where the leader relies on leases, and
    so on the election timeout, which it says itself: members may be told to use leases one after the other.

    A host's word is proven if it quotes what this member has lately sent to that leader, which nobody else can know
    who does not see it pass. Then it counts at once: whoever led a term and has ended will never lead that term
    again. If the leader speaks after all, a proof of its end counts no more than another word in this term.
    """

    __slots__ = (
        "_config",
        "_every",
        "_first",
        "_hinted_after",
        "_until",
        "_was_misled",
        "gone",
        "hinted",
        "is_promised",
        "is_proven",
    )

    def __init__(self, config: Config) -> None:
        self._config = config
        self._every = config.heartbeat_ticks
        self._until = config.election_timeout_ticks
        self._hinted_after = -(-5 * config.heartbeat_ticks // 2)
        self._first = 0
        """The ticks of silence after which to ask; 0: never, and nothing that is said counts."""
        self.is_promised = False
        """Whether to wait for the election timeout whatever is said: the leader that was heard last relies on that,
        or leaders may that were heard before this member was started."""
        self.promise(False)
        self.gone = False
        """Whether the host of this term's leader has answered that nobody is there."""
        self.is_proven = False
        """Whether it has done so in a way that nobody forges who does not see what members send each other."""
        self._was_misled = False
        """Whether this term's leader has spoken after its end was proven."""
        self.hinted = False
        """Whether the network's controller has hinted that this term's leader has ended."""

    def promise(self, lease: bool) -> None:
        """A leader is heard that relies on leases or does not."""
        self.is_promised = lease or self._config.lease_ticks > 0
        self._first = 0 if self.is_promised else self._config.probe_ticks

    def asks(self, heard_ago: int) -> bool:
        """Whether to ask after the leader at this tick: it was heard ``heard_ago`` ticks ago. Asked is once a
        heartbeat, for question and answer may be lost, until the election timeout."""
        return self.question_in(heard_ago - 1) == 1

    def question_in(self, heard_ago: int) -> int:
        """The ticks until the next question; LONG if there will be none."""
        since = heard_ago - self._first
        wait = -since if since < 0 else self._every - since % self._every
        return wait if self._first and not self.gone and heard_ago + wait < self._until else LONG

    def lose(self, proven: bool) -> bool:
        """The leader's host has answered that nobody is there. False if that counts for nothing, or is no news."""
        proven = proven and not self._was_misled
        is_news = not self.gone or (proven and not self.is_proven)
        if not self._first or not is_news:
            return False
        self.gone = True
        self.is_proven |= proven
        return True

    def hint(self) -> bool:
        """The controller hints that the leader has ended. False if that counts for nothing, or is no news."""
        if self.gone or self.hinted or not self._first:
            return False
        self.hinted = True
        return True

    def forget(self) -> bool:
        """The leader speaks. False if nothing was said of its end."""
        was_told = self.gone or self.hinted
        self._was_misled |= self.is_proven
        self.gone = self.is_proven = self.hinted = False
        return was_told

    def begin_term(self) -> bool:
        """The leader's term is over. False if nothing was said of its end."""
        was_told = self.forget()
        self._was_misled = False
        return was_told

    @property
    def _enough(self) -> int:
        """The ticks of silence for which this member waits, by what it was told."""
        if self.gone:
            return 0 if self.is_proven else self._first
        return self._hinted_after if self.hinted else LONG

    def left(self, heard_ago: int) -> int:
        """The ticks that this member waits on for a leader that has ended, as it was told."""
        return max(0, self._enough - heard_ago)

    def is_over(self, heard_ago: int) -> bool:
        """Whether an election is wanted before the election timeout: the leader has ended, by its host's word or the
        controller's, and this member has heard nothing of it for as long as that takes."""
        return heard_ago >= self._enough

    def retry_in(self, heard_ago: int) -> int:
        """The ticks after which to ask again for votes in vain: others may hear later than this member that the
        leader is gone, or only find out by its silence. LONG where that is no reason any more."""
        if not self.is_over(heard_ago) or heard_ago >= 2 * self._until:
            return LONG
        if self.is_proven and heard_ago < self._first:
            return max(1, self._every // 10)  # others are about to hear the proof, if not the silence
        return max(1, self._every // 2)
