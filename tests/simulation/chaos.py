"""What goes wrong, where and when: actions that are armed for a try, and fire at the nth passing of a point.

A point is an operation and a phase of it: before its effect, after it, or within its body.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import Profile, Try

Point = tuple[str, str]

OSS_OPERATIONS = {
    "upload": ("head", "put", "initiate", "part", "list", "complete", "abort"),
    "download": ("head", "get"),
    "copy": (
        "head",
        "tagging",
        "retention",
        "copy",
        "get",
        "put",
        "initiate",
        "part",
        "part copy",
        "list",
        "complete",
        "abort",
    ),
}
STORE_OPERATIONS = ("load", "save", "delete")
DISK_OPERATIONS = {
    "upload": ("preadv",),
    "download": ("pwrite", "preadv", "ftruncate", "fsync", "replace", "rename", "unlink"),
    "copy": (),
}


@dataclass(frozen=True)
class Action:
    """One kind of trouble.

    :ivar group: a seed switches whole groups on or off, so that rare kinds get runs of their own
    :ivar where: the operations, or ``oss``, ``store``, ``disk``
    """

    name: str
    group: str
    where: tuple[str, ...]
    phases: tuple[str, ...]

    def points(self, direction: str) -> list[Point]:
        operations: list[str] = []
        for name in self.where:
            kinds: dict[str, Iterable[str]] = {
                "oss": OSS_OPERATIONS[direction],
                "store": STORE_OPERATIONS,
                "disk": DISK_OPERATIONS[direction],
            }
            operations += kinds.get(name, (name,))
        known = {*OSS_OPERATIONS[direction], *STORE_OPERATIONS, *DISK_OPERATIONS[direction], "watch", "wait"}
        return [
            (operation, phase)
            for operation in operations
            if operation in known
            for phase in self.phases
            if phase != "body" or operation in ("part", "put", "get")
        ]


EVERYWHERE = ("oss", "store")
PARTS = ("part", "get", "part copy")
AROUND = ("before", "after", "body")

ACTIONS = [
    Action("crash", "crash", ("oss", "store", "disk"), AROUND),
    Action("crash", "crash", (*PARTS, "complete", "copy", "replace", "rename", "delete", "save"), AROUND),
    Action("torn", "crash", ("pwrite",), ("before",)),
    Action("refused", "network", ("oss",), ("before",)),
    Action("stall", "network", ("oss",), ("before",)),
    Action("slow", "network", ("oss",), ("before", "after")),
    Action("outage", "network", ("oss",), ("before",)),
    Action("forgotten", "links", ("oss",), ("before",)),
    Action("unheard", "links", ("oss",), ("after",)),
    Action("suspended", "links", ("store", *PARTS), ("before", "after")),
    Action("breaks", "links", (*PARTS, "put"), ("before",)),
    Action("narrow", "links", (*PARTS, "put"), ("before",)),
    Action("break", "network", ("get",), ("body",)),
    Action("break", "network", ("get",), ("body",)),
    Action("lost", "network", ("oss",), ("after",)),
    Action("lost outage", "network", ("oss",), ("after",)),
    Action("garbled", "network", ("complete",), ("after",)),
    Action("garbled for good", "network", ("complete",), ("after",)),
    Action("late", "late", ("part",), ("body",)),
    Action("late", "late", ("complete", "initiate", "copy", "part copy"), ("before",)),
    Action("delay", "late", ("oss",), ("before",)),
    Action("delay", "late", ("pwrite", "preadv", "fsync"), ("before",)),
    Action("flip", "flip", ("part", "put", "get"), ("body",)),
    Action("unconditioned", "flip", ("get", "copy", "part copy"), ("before",)),
    Action("damaged", "flip", ("complete",), ("before",)),
    Action("bad join", "flip", ("complete",), ("before",)),
    Action("busy", "answers", ("oss",), ("before",)),
    Action("denied", "answers", ("oss",), ("before",)),
    Action("too large", "answers", ("copy",), ("before",)),
    Action("down", "store", ("store",), ("before",)),
    Action("down for long", "store", ("store",), ("before",)),
    Action("slow", "store", ("store",), ("before",)),
    Action("lost", "store", ("store",), ("after",)),
    Action("short", "disk", ("pwrite",), ("before",)),
    Action("full", "disk", ("pwrite", "replace", "ftruncate"), ("before",)),
    Action("broken", "disk", ("disk",), ("before",)),
    Action("broken", "disk", ("fsync",), ("before",)),
    Action("stop", "stop", ("watch",), ("before",)),
    Action("timeout", "stop", ("watch", "wait"), ("before",)),
    Action("timeout", "stop", ("store",), ("before", "after")),
    Action("orphan", "stop", ("watch",), ("before",)),
    Action("freeze", "zombies", EVERYWHERE, AROUND),
    Action("freeze", "zombies", ("complete", "get", "part copy", "initiate", "save", "delete", "load"), AROUND),
    Action("overlap", "zombies", EVERYWHERE, AROUND),
]

# What others do, by direction; the names are methods of rivals.Rivals. All can happen at any call and between tries.
RIVALS = {
    "upload": {
        "source": ("source rewritten", "source edited", "source swapped", "source grown", "source shrunk",
                   "source touched", "source reverted", "source removed", "source linked", "source rewritten unseen",
                   "source edited unseen"),
        "rivals": ("part replaced", "upload removed", "upload completed", "object put", "object deleted"),
        "tamper": ("checkpoint deleted", "checkpoint torn", "checkpoint garbage", "checkpoint foreign",
                   "checkpoint edited"),
        "options": ("headers changed", "part size changed"),
    },
    "download": {
        "source": ("object rewritten", "object edited", "object grown", "object shrunk", "object touched",
                   "object reverted", "object removed"),
        "rivals": ("file replaced", "file removed", "part file removed"),
        "damage": ("part file flipped", "part file zeroed", "part file cut", "part file grown", "part file removed"),
        "tamper": ("checkpoint deleted", "checkpoint torn", "checkpoint garbage", "checkpoint foreign",
                   "checkpoint edited"),
        "options": ("part size changed",),
    },
    "copy": {
        "source": ("object rewritten", "object edited", "object grown", "object shrunk", "object touched",
                   "object reverted", "object removed"),
        "rivals": ("part replaced", "upload removed", "upload completed", "object put", "object deleted"),
        "tamper": ("checkpoint deleted", "checkpoint torn", "checkpoint garbage", "checkpoint foreign",
                   "checkpoint edited"),
        "options": ("headers changed", "part size changed"),
    },
}  # fmt: skip
BETWEEN_ONLY = {"damage", "options"}
UNNOTICED_BY_STAT = {"part replaced"}  # as fingerprint="stat" compares no bytes

# What ends a try, or leaves it behind.
FATAL = ("crash", "outage", "lost outage", "denied", "stop", "timeout", "orphan", "freeze", "overlap")

GROUPS = ("crash", "network", "links", "late", "flip", "answers", "store", "disk", "stop", "zombies", "source",
          "rivals", "damage", "tamper", "options")  # fmt: skip


def event_points(direction: str, operations: Iterable[str]) -> list[Point]:
    """Return those of the operations at which others may act, with their phases."""
    known = (*OSS_OPERATIONS[direction], *STORE_OPERATIONS)
    points = Action("", "", tuple(name for name in operations if name in known), AROUND).points(direction)
    if direction == "download":
        points += 3 * [("rename", "before")]  # the very moment at which nothing stood there a moment ago
    return [*points, ("watch", "before")]  # while a try waits, for a part file that another holds or a slow answer


def all_troubles(direction: str) -> list[tuple[str, str, str]]:
    """Return operation, phase and name of whatever may happen in a try."""
    troubles = [(*point, action.name) for action in ACTIONS for point in action.points(direction)]
    rivals = RIVALS[direction]
    names = [name for group in rivals if group not in BETWEEN_ONLY for name in rivals[group]]
    points = event_points(direction, (*OSS_OPERATIONS[direction], *STORE_OPERATIONS))
    return list(dict.fromkeys([*troubles, *((*point, name) for point in points for name in names)]))


def all_ends(direction: str) -> list[tuple[str, str, str]]:
    """Return those of all troubles that end a try or leave it behind."""
    return [trouble for trouble in all_troubles(direction) if trouble[2] in FATAL]


def what_others_do(direction: str) -> list[str]:
    """Return what may happen between two tries."""
    return list(dict.fromkeys(name for names in RIVALS[direction].values() for name in names))


class Chaos:
    """Arms actions from a random source, and fires them."""

    def __init__(self, rng: random.Random, profile: Profile, groups: Iterable[str]) -> None:
        self.rng = rng
        self.groups = frozenset(groups)
        self.is_calm = False
        self._profile = profile
        direction = profile.direction
        self._actions = [
            (action, points)
            for action in ACTIONS
            if action.group in self.groups and (points := action.points(direction))
            if profile.verify or action.group != "flip"
            if profile.crc_headers or action.group != "flip"
            if not profile.options.get("byte_range") or action.group != "flip"  # OSS has no CRC-64 of a range
        ]
        # Points that a transfer of this size hardly comes to; most faults are not wasted on them.
        multipart = ("initiate", "part", "part copy", "list", "complete", "abort")
        self._unlikely: tuple[str, ...] = ("put",) if profile.size >= profile.threshold else multipart
        if profile.direction == "copy":
            is_streamed, is_whole = profile.options["mode"] == "stream", profile.size <= profile.threshold
            other_way = ("copy", "part copy") if is_streamed else ("put", "get", "part")
            self._unlikely = (*other_way, *(multipart if is_whole else ("copy", "put")))
        often = (*PARTS, *PARTS, "put", "put", "copy", "copy", "get", "save", "load")
        self._event_points = event_points(direction, OSS_OPERATIONS[direction] + often)
        crash = Action("crash", "crash", (*PARTS, "complete"), AROUND)
        self._fatal = [
            (action, points) for action, points in self._actions if action.name in FATAL and action.where != ("store",)
        ] or [(crash, crash.points(direction))]
        rivals = {group: names for group, names in RIVALS[direction].items() if group in self.groups}
        self._events = [name for group, names in rivals.items() if group not in BETWEEN_ONLY for name in names]
        self._between = [name for names in rivals.values() for name in names]
        if profile.options.get("fingerprint") == "stat":
            self._events = [name for name in self._events if name not in UNNOTICED_BY_STAT]
            self._between = [name for name in self._between if name not in UNNOTICED_BY_STAT]

    def arm(self, process: Try, point: Point, nth: int, action: str) -> None:
        process.armed.setdefault(point, {})[nth] = action

    def arm_some(self, process: Try, *, rate: float) -> None:
        """Arm a try with a few actions, and mostly with one that ends it or freezes it."""
        if self.is_calm:
            return
        rng = self.rng
        if self._events and rng.random() < 0.15:  # others act, and nothing hinders the try to make something of it
            self.arm(process, point := self._likely(self._event_points), self._nth(point), rng.choice(self._events))
            return
        if rng.random() < 0.8:
            action, points = rng.choice(self._fatal)
            self.arm(process, point := self._likely(points), self._nth(point), action.name)
        while rng.random() < rate:
            events = self._events
            if events and (not self._actions or rng.random() < len(events) / (len(events) + 2.5 * len(self._actions))):
                name, points = rng.choice(events), self._event_points
            elif self._actions:
                action, points = rng.choice(self._actions)
                name = action.name
            else:
                return
            self.arm(process, point := self._likely(points), self._nth(point), name)

    def between(self) -> list[str]:
        """Return what others do before the next try."""
        if self.is_calm or not self._between:
            return []
        return [self.rng.choice(self._between) for _ in range(self.rng.choice((0, 0, 1, 1, 2)))]

    def fire(self, process: Try, point: Point) -> str | None:
        passed = process.passed[point] = process.passed.get(point, 0) + 1
        if self.is_calm or point not in process.armed:
            return None
        return process.armed[point].pop(passed, None)

    def _likely(self, points: list[Point]) -> Point:
        likely = [point for point in points if point[0] not in self._unlikely]
        return self.rng.choice(likely if likely and self.rng.random() < 0.9 else points)

    def _nth(self, point: Point) -> int:
        parts = max(self._profile.parts, 1)
        operation, phase = point
        if phase == "body" or operation in ("pwrite", "preadv"):
            return self.rng.randint(1, 3 * parts)
        if operation in PARTS:
            return self.rng.randint(1, parts + 1)
        if operation in ("watch", "wait"):
            return self.rng.randint(1, 4 * parts)
        nth = 1
        while self.rng.random() < 0.35:
            nth += 1
        return nth
