"""What the scripted tests share: two transfers of five parts, and what a try that went well looks like."""

from __future__ import annotations

from tests.simulation.world import PART, Profile, Try, World

UPLOAD = Profile("upload", size=5 * PART)
DOWNLOAD = Profile("download", size=5 * PART, interval=0.0)


def succeeded(world: World, process: Try) -> bool:
    """True when the try returned and no invariant is broken; the log tells the rest."""
    assert is_sound(world)
    assert process.error is None, "\n".join(["", *world.log])
    return True


def is_sound(world: World) -> bool:
    assert world.ledger.violation is None, "\n".join(["", *world.log])
    return True
