"""What others do to the source, the object, parts, files and checkpoints, in the middle of a try or between two."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

from airflow_provider_ossresume.errors import CheckpointUnreadable
from airflow_provider_ossresume.model.checkpoint import (
    Checkpoint,
    DownloadCheckpoint,
    Owner,
    UploadCheckpoint,
    decode,
    encode,
)
from tests.simulation.oss import BUCKET, MIN_PART_SIZE, stored

if TYPE_CHECKING:
    from tests.simulation.world import World

PART = MIN_PART_SIZE
_BYTES = random.Random(0).randbytes(2**21)
_YEAR_2023 = 1_700_000_000_000_000_000  # ns


class Rivals:
    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._time_stamp = _YEAR_2023
        self._ctime = 0

    def do(self, name: str) -> None:
        """Do what the name says, where there is something to do it to; the log tells."""
        done = getattr(self, "_" + name.replace(" ", "_"))()
        self._world.note(f"! {name}" + (f": {done}" if isinstance(done, str) else ""))

    def new_content(self, size: int) -> bytes:
        """Return bytes that share no part with those made before."""
        offset = next(self._world.contents) * 8209 % 2**20
        return _BYTES[offset : offset + size]

    # --- the source of an upload --------------------------------------------------------------------------------------

    def write_source(self, content: bytes, *, unseen: bool = False) -> None:
        path = self._world.source
        with open(path, "r+b" if path.exists() else "wb") as file:
            file.write(content)
            file.truncate()
        self._stamp(new=not unseen)
        self._world.ledger.truth_is(content)

    def _stamp(self, *, new: bool) -> None:
        """Set the time stamp, and wait for another ctime: files change within one tick of the kernel's clock here."""
        self._time_stamp += 1_000_000_000 * new
        before = self._ctime
        while self._ctime == before:
            os.utime(self._world.source, ns=(self._time_stamp, self._time_stamp))
            self._ctime = self._world.source.stat().st_ctime_ns

    def _source_rewritten(self) -> None:
        self.write_source(self.new_content(len(self._truth())))

    def _source_edited(self) -> None:
        self.write_source(self._edited(self._truth()))

    def _source_swapped(self) -> None:
        content = self.new_content(len(self._truth()))
        other = self._world.folder / "other"
        other.write_bytes(content)
        os.replace(other, self._world.source)
        self._stamp(new=True)
        self._world.ledger.truth_is(content)

    def _source_grown(self) -> None:
        self.write_source(self._truth() + self.new_content(self._rng.choice((1, PART // 2, PART))))

    def _source_shrunk(self) -> None:
        self.write_source(self._shorter(self._truth()))

    def _source_touched(self) -> None:
        if self._world.source.exists():
            self._stamp(new=True)

    def _source_reverted(self) -> None:
        self.write_source(self._rng.choice(self._world.ledger.contents()))

    def _source_removed(self) -> None:
        self._world.source.unlink(missing_ok=True)
        self._world.ledger.truth_is(None)

    def _source_rewritten_unseen(self) -> None:
        """Same size and time stamp, as ``cp -p`` and ``tar`` have it; the ctime alone tells."""
        self.write_source(self.new_content(len(self._truth())), unseen=True)

    def _source_edited_unseen(self) -> None:
        self.write_source(self._edited(self._truth()), unseen=True)

    def _source_linked(self) -> None:
        """A change of the ctime, and of no byte."""
        if self._world.source.exists():
            self._stamp(new=False)

    # --- the object of a download, or the source of a copy ------------------------------------------------------------

    def put_object(self, content: bytes) -> None:
        if self._world.profile.direction == "copy":
            self._world.oss.source = stored(content, {})
        else:
            self._world.oss.put(content, {})
        self._world.ledger.truth_is(content)

    def _object_rewritten(self) -> None:
        self.put_object(self.new_content(len(self._truth())))

    def _object_edited(self) -> None:
        self.put_object(self._edited(self._truth()))

    def _object_grown(self) -> None:
        self.put_object(self._truth() + self.new_content(self._rng.choice((1, PART // 2, PART))))

    def _object_shrunk(self) -> None:
        self.put_object(self._shorter(self._truth()))

    def _object_touched(self) -> None:
        self.put_object(self._truth())

    def _object_reverted(self) -> None:
        self.put_object(self._rng.choice(self._world.ledger.contents()))

    def _object_removed(self) -> None:
        self._world.oss.object, self._world.oss.source = (
            (self._world.oss.object, None) if self._world.profile.direction == "copy" else (None, None)
        )
        self._world.ledger.truth_is(None)

    # --- other writers at OSS -----------------------------------------------------------------------------------------

    def _part_replaced(self) -> str:
        uploads = [upload for upload in self._world.oss.open_uploads() if upload.parts]
        if not uploads:
            return "none"
        upload = self._rng.choice(uploads)
        number = self._rng.choice(sorted(upload.parts))
        size = len(upload.parts[number].content) - self._rng.choice((0, 0, 1))
        self._world.oss.put_part(upload.upload_id, number, self.new_content(max(size, 1)))
        return f"{upload.upload_id}/{number}"

    def _upload_removed(self) -> str:
        uploads = [upload for upload in self._world.oss.open_uploads() if upload.by]
        if not uploads:
            return "none"
        upload = self._rng.choice(uploads)
        upload.state = "removed"
        return upload.upload_id

    def _upload_completed(self) -> str:
        """An older try of which nothing else is known completes an upload that holds all its parts."""
        for upload in self._world.oss.open_uploads():
            parts = sorted(upload.parts.items())
            if parts and b"".join(part.content for _, part in parts) == self._world.ledger.truth:
                named = [(number, part.etag) for number, part in parts]
                found = self._world.oss.complete(upload.upload_id, named, {})
                self._world.ledger.object_put_by_others(found.content, "completed by a zombie")
                return upload.upload_id
        return "none"

    def _object_put(self) -> None:
        size = self._rng.choice((0, PART, len(self._world.ledger.truth or b"")))
        content = self.new_content(size)
        self._world.oss.put(content, {})
        self._world.ledger.object_put_by_others(content, "put by others")

    def _object_deleted(self) -> None:
        self._world.oss.object = None
        self._world.ledger.object_put_by_others(None, "deleted by others")

    # --- files of a download ------------------------------------------------------------------------------------------

    def _part_file_flipped(self) -> str:
        return self._damage(lambda data, at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    def _part_file_zeroed(self) -> str:
        return self._damage(lambda data, at: data[:at] + bytes(min(PART, len(data) - at)) + data[at + PART :])

    def _part_file_cut(self) -> str:
        return self._damage(lambda data, at: data[:at])

    def _part_file_grown(self) -> str:
        return self._damage(lambda data, at: data + b"more")

    def _damage(self, change) -> str:  # type: ignore[no-untyped-def]
        """Between two tries only: a part file that is edited under a running try is nobody's promise."""
        [path, *_] = [*self._world.part_files(), None]
        if path is None or self._world.living():
            return "none"
        data = path.read_bytes()
        if data:
            path.write_bytes(change(data, self._rng.randrange(len(data))))
        self._world.ledger.part_file_touched(None)
        return path.name[-30:]

    def _part_file_removed(self) -> None:
        for path in self._world.part_files():
            path.unlink()
        self._world.ledger.part_file_touched(None)

    def _file_replaced(self) -> None:
        content = self.new_content(self._rng.choice((0, 7, len(self._world.ledger.truth or b""))))
        other = self._world.folder / "other"
        other.write_bytes(content)
        os.replace(other, self._world.target)
        self._world.ledger.file_put_by_others(content)

    def _file_removed(self) -> None:
        self._world.target.unlink(missing_ok=True)
        self._world.ledger.file_put_by_others(None)

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _checkpoint_deleted(self) -> None:
        self._world.ledger.tampered(None)

    def _checkpoint_torn(self) -> None:
        text = self._world.shelf.text
        if text:
            self._world.ledger.tampered(text[: self._rng.randrange(len(text))])

    def _checkpoint_garbage(self) -> None:
        texts = (
            "",
            "null",
            "[]",
            "{}",
            "ï»¿",
            '{"ossresume": 2}',
            '{"ossresume": 1, "kind": "upload"}',
            "[" * 9999,
            "NaN",
        )
        self._world.ledger.tampered(self._rng.choice(texts))

    def _checkpoint_foreign(self) -> str:
        """A checkpoint of another transfer stands in our place; its upload is alive."""
        owner = Owner(self._rng.randint(0, 9), "somebody else")
        foreign: Checkpoint
        if self._rng.random() < 0.6:
            upload = self._world.oss.initiate({}, None)
            foreign = UploadCheckpoint(BUCKET, "another-key", upload.upload_id, 5 * PART, PART, "", owner)
        else:
            foreign = DownloadCheckpoint(
                BUCKET, "another-key", None, "ETAG", 5 * PART, 7, PART, ".another.ossresume-part", owner
            )
        self._world.ledger.tampered(encode(foreign))
        return f"{foreign.kind} of try {owner.try_number}"

    def _checkpoint_edited(self) -> str:
        """Somebody changes one field; but neither the owner nor the names, which make it another one's."""
        text = self._world.shelf.text
        try:
            content = json.loads(text) if text and decode(text) else None
        except CheckpointUnreadable:
            content = None
        if content is None:
            return "none"
        names = [name for name in content if name not in ("ossresume", "kind", "owner", "bucket", "key", "version_id")]
        name = self._rng.choice(names)
        value = content[name]
        if name == "crc64":
            value = self._rng.choice((None, 1, 2**64 - 1))
        elif isinstance(value, int):
            value = self._rng.choice((value + 1, max(value - 1, 0), value // 2, value * 2, 1))
        elif isinstance(value, str):
            value += "x"
        elif value:
            value = self._rng.choice((value[:-1], [[value[0][0], value[0][1], "0"], *value[1:]]))
        was, content[name] = content[name], value
        self._world.ledger.tampered(json.dumps(content))
        return f"{name} {was!r} -> {value!r}"[:100]

    # --- what the DAG author changes ----------------------------------------------------------------------------------

    def _headers_changed(self) -> None:
        self._world.headers = {"x-oss-meta-colour": self._rng.choice(("blue", "red", "green"))}

    def _part_size_changed(self) -> None:
        self._world.part_size = self._rng.choice((PART, PART + 1, 2 * PART))

    # --- shared -------------------------------------------------------------------------------------------------------

    def _truth(self) -> bytes:
        """Return the present bytes, or the last ones of what is gone."""
        return self._world.ledger.contents()[-1]

    def _edited(self, content: bytes) -> bytes:
        if not content:
            return content
        at = self._rng.randrange(len(content))
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    def _shorter(self, content: bytes) -> bytes:
        return content[: max(0, len(content) - self._rng.choice((1, PART // 2, PART, 3 * PART)))]

    def restore(self) -> None:
        """Put back what was removed, as somebody does before he clears the task."""
        if self._world.ledger.truth is not None:
            return
        if self._world.profile.direction == "upload":
            self.write_source(self._truth())
        else:
            self.put_object(self._truth())
        self._world.note("! what was removed is back")
