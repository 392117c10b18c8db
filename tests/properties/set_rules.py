"""What has to hold after each try of a set, in words: see the messages of the assertions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from airflow_provider_ossresume.model.manifest import Row, Victim
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan


@dataclass
class Planned:
    """A plan, and what is known of its time.

    :ivar wanted: what each name of the source held while the plan was made; None for nothing
    :ivar touched: names of the target that others, or other plans, have written to since it began
    """

    plan: Plan
    rows: dict[str, Row]
    victims: dict[str, Victim]
    wanted: dict[str, set[bytes | None]]
    touched: set[str]
    tries: int = 0
    is_proven: bool = False

    def may_hold(self, name: str) -> set[bytes | None]:
        return self.wanted.get(name, {None})


@dataclass(frozen=True)
class Seen:
    """What there is in the target under a name."""

    data: bytes
    identity: str


Target = Mapping[str, Seen]


@dataclass
class Meanwhile:
    """What others did during a try: what names of the source held, and which names of the target they wrote to."""

    source: dict[str, set[bytes | None]] = field(default_factory=dict)
    target: set[str] = field(default_factory=set)


def check_unchanged(before: Target, after: Target, but: Collection[str]) -> None:
    """What a plan, a batch or a finish has no business with is as it was."""
    names = (set(before) | set(after)) - set(but)
    changed = {name for name in names if before.get(name) != after.get(name)}
    assert not changed, f"{changed} of the target changed, and no row names them"


def check_plan(planned: Planned, before: Target, meanwhile: Meanwhile) -> None:
    """A plan names what it knows, and nothing else."""
    sources = {name for name, held in planned.wanted.items() if None not in held}
    hidden = sources & set(planned.victims)
    assert not hidden, f"{hidden} are to be deleted, and the source had them all the time"
    unseen = set(planned.victims) - set(before) - meanwhile.target
    assert not unseen, f"{unseen} are to be deleted, and were never there"
    assert planned.plan.header.mode == "mirror" or not planned.victims, "a copy is to delete"
    foreign = {name for name in planned.rows if planned.may_hold(name) == {None}}
    assert not foreign, f"{foreign} are to be moved, and the source never had them"


def check_finish(
    planned: Planned,
    verdict: Verdict | None,
    before: Target,
    after: Target,
    meanwhile: Meanwhile,
    *,
    proven: Collection[str],
    is_last: bool,
    is_listed: bool,
) -> None:
    """A finish deletes only what it may, and says of nothing that it is there that is not.

    :param verdict: None where it has not said that all is well
    :param proven: names of the rows that the ledger has proven
    :param is_last: no later plan is known
    :param is_listed: the target was to be listed once more
    """
    check_unchanged(before, after, {*planned.victims, *meanwhile.target})
    deleted = {name for name in before if name not in after and name not in meanwhile.target}
    for name in deleted:
        assert before[name].identity == planned.victims[name].identity, f"{name} was deleted, and is not what was seen"
    if deleted:
        assert is_last, f"an older plan has deleted {deleted}"
        assert set(planned.rows) <= set(proven), f"{deleted} were deleted before all was proven"
        assert any(held != {None} for held in planned.wanted.values()), "a mirror of nothing has deleted"
    if not deleted and (verdict is None or planned.is_proven):  # it only repeats what it has said before
        return
    known = meanwhile.target if is_listed else planned.touched
    for name in set(planned.rows) - known:
        held = after[name].data if name in after else None
        assert held in planned.may_hold(name), f"{name} counts as proven, and the target has something else"
    if verdict is None:
        return
    for name, wanted in planned.wanted.items():
        if name in planned.touched or name in planned.rows:
            continue
        held = after[name].data if name in after else None
        assert held in wanted or None in wanted, f"{name} was taken for the same, and the target has something else"
    if planned.plan.header.mode == "mirror":
        left = {name for name in after if planned.may_hold(name) == {None}} - planned.touched
        assert not left, f"{left} are in the target of a mirror that is proven, and the source does not have them"
