"""Action profiles of the program: what a table's entry leaves a switch to choose from, as it holds it for the
controller beside entries and multicast groups."""

from __future__ import annotations

from dataclasses import dataclass

PROFILE_MEMBERS = "profile_members"
PROFILE_GROUPS = "profile_groups"
"""What their members and groups are called beside tables, in the order of writing."""

SELECT = "select"
"""The action of an entry that chooses from a group; its parameter ``group`` is the group's id."""

PROFILES = {"read_route": "readers"}
"""The profile of each table that has one."""

Key = tuple[str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True)
class ProfileMember:
    """An action with its parameters, which groups may share."""

    profile: str
    id: int
    action: str
    params: tuple[tuple[str, int], ...]

    @property
    def table(self) -> str:
        """Its place in the order of writing."""
        return PROFILE_MEMBERS

    @property
    def key(self) -> Key:
        """What makes two the same one, in the form of an entry's key."""
        return f"{PROFILE_MEMBERS}.{self.profile}", (("id", self.id),)

    def __str__(self) -> str:
        params = ", ".join(f"{name}={value}" for name, value in self.params)
        return f"{self.profile}.member[{self.id}] {self.action}({params})"


@dataclass(frozen=True)
class ProfileGroup:
    """Members that a switch chooses from by a hash, each as often as any other. It has one at least: BMv2 does not
    survive an empty one that is hit."""

    profile: str
    id: int
    members: tuple[int, ...]

    @property
    def table(self) -> str:
        """Its place in the order of writing."""
        return PROFILE_GROUPS

    @property
    def key(self) -> Key:
        """What makes two the same one, in the form of an entry's key."""
        return f"{PROFILE_GROUPS}.{self.profile}", (("id", self.id),)

    def __str__(self) -> str:
        return f"{self.profile}.group[{self.id}] {' '.join(map(str, self.members))}"
