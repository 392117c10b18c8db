"""An object's tags: given with its bytes, given later, counted, replaced, taken away."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS

from .judge import PART, Judge, Refused
from .seats import BUCKET

TAGS = {"team": "data eng", "cost:centre/1": "a/b+c=d", "longest" * 18 + "12": "v" * 256}


def test_tags_are_given_replaced_and_taken_away(judge: Judge) -> None:
    judge.put("key 键", b"bytes", headers={"x-oss-tagging": "first=1"})

    judge.put_tags("key 键", TAGS)
    assert judge.tags("key 键") == TAGS
    for answer in (judge.head("key 键"), judge.get("key 键")):
        assert answer.headers["x-oss-tagging-count"] == "3"

    judge.put_tags("key 键", {"only": "one"})
    assert judge.tags("key 键") == {"only": "one"}

    judge.delete_tags("key 键")
    judge.delete_tags("key 键")
    assert judge.tags("key 键") == {}
    assert "x-oss-tagging-count" not in judge.head("key 键").headers


def test_tags_change_nothing_else(judge: Judge) -> None:
    judge.put("key", b"bytes", meta={"owner": "me"})
    before = judge.head("key")

    judge.put_tags("key", TAGS)

    after = judge.head("key")
    assert (after.meta, after.etag) == (before.meta, before.etag)
    assert after.headers["last-modified"] == before.headers["last-modified"]


def test_tags_given_at_the_beginning_of_an_upload_are_the_object_s(judge: Judge) -> None:
    upload_id = judge.initiate("key", headers={"x-oss-tagging": "a=1&b%3Ac=x%20y"})
    judge.complete("key", upload_id, [judge.upload_part("key", upload_id, 1, b"x" * PART)])

    assert judge.tags("key") == {"a": "1", "b:c": "x y"}


def test_a_copy_has_the_tags_that_its_source_was_given_later(judge: Judge) -> None:
    judge.put("source", b"bytes")
    judge.put_tags("source", TAGS)

    judge.copy("source", "copied")

    assert judge.tags("copied") == TAGS


def test_ten_tags_are_the_most(judge: Judge, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"bytes", x_oss_tagging="kept=1")
    judge.put_tags("key", {f"t{number}": "1" for number in range(10)})
    with pytest.raises(Refused) as refused:
        judge.put("another", b"", headers={"x-oss-tagging": "&".join(f"t{number}=" for number in range(11))})

    assert len(judge.tags("key")) == 10
    assert (refused.value.status, refused.value.code) == (400, "InvalidTag")


def test_what_is_not_there_has_no_tags(judge: Judge) -> None:
    for call in (
        lambda: judge.tags("absent"),
        lambda: judge.put_tags("absent", {"a": "1"}),
        lambda: judge.delete_tags("absent"),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert (refused.value.status, refused.value.code) == (404, "NoSuchKey")
