"""What every home of checkpoints promises, as functions of a store: they run where the store lives.

Each promise has keys of its own, so that one that is broken breaks no other.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_ossresume.checkpoints.select import CheckpointStore
from airflow_provider_ossresume.model.checkpoint import checkpoint_key

Promise = Callable[[CheckpointStore], None]

AWKWARD = "日本語 😀 ‮override‬ \u2028 \x7f \\ \"quoted\" 'single' <b>&amp; %s {{ ds }} ${HOME} \t\r\n é e\u0301"


def key_of(what: str) -> str:
    return checkpoint_key("upload", "oss://bucket/日本 語?x=1#f", "dag", "run", what, -1)


def a_missing_key_loads_as_none(store: CheckpointStore) -> None:
    assert store.load(key_of("missing")) is None


def what_was_saved_is_loaded(store: CheckpointStore) -> None:
    key, content = key_of("saved"), {"ossresume": 1, "runs": [[1, 7, "00ff"]], "crc64": 2**64 - 1, "version_id": None}
    store.save(key, json.dumps(content))
    assert json.loads(_text(store, key)) == content


def awkward_unicode_survives(store: CheckpointStore) -> None:
    key, content = key_of("unicode"), {"key": AWKWARD, AWKWARD: "as a name"}
    for ensure_ascii in (True, False):
        store.save(key, json.dumps(content, ensure_ascii=ensure_ascii))
        assert json.loads(_text(store, key)) == content


def sixty_kibibytes_survive(store: CheckpointStore) -> None:
    key, content = key_of("large"), {"runs": [[number, number, "0123456789abcdef"] for number in range(1, 1900)]}
    text = json.dumps(content)
    assert 60_000 < len(text) < 64 * 1024
    store.save(key, text)
    assert json.loads(_text(store, key)) == content


def a_save_replaces_what_was_there(store: CheckpointStore) -> None:
    key = key_of("replaced")
    store.save(key, '{"try": 1, "only_in_the_first": true}')
    store.save(key, '{"try": 2}')
    assert json.loads(_text(store, key)) == {"try": 2}


def delete_forgets(store: CheckpointStore) -> None:
    key = key_of("deleted")
    store.save(key, '{"a": 1}')
    store.delete(key)
    assert store.load(key) is None


def a_deleted_key_can_be_saved_again(store: CheckpointStore) -> None:
    key = key_of("again")
    store.save(key, '{"a": 1}')
    store.delete(key)
    store.save(key, '{"a": 2}')
    assert json.loads(_text(store, key)) == {"a": 2}


def deleting_a_missing_key_is_no_error(store: CheckpointStore) -> None:
    store.delete(key_of("never saved"))


def two_keys_do_not_mix(store: CheckpointStore) -> None:
    one, other = key_of("one"), key_of("other")
    store.save(one, '{"is": "one"}')
    store.save(other, '{"is": "other"}')
    assert json.loads(_text(store, one)) == {"is": "one"}
    store.delete(one)
    assert json.loads(_text(store, other)) == {"is": "other"}


def it_says_in_the_log_what_it_is(store: CheckpointStore) -> None:
    assert re.fullmatch(r"[A-Za-z].{2,}", str(store))
    assert "object at 0x" not in str(store)


PROMISES: Sequence[Promise] = (
    a_missing_key_loads_as_none,
    what_was_saved_is_loaded,
    awkward_unicode_survives,
    sixty_kibibytes_survive,
    a_save_replaces_what_was_there,
    delete_forgets,
    a_deleted_key_can_be_saved_again,
    deleting_a_missing_key_is_no_error,
    two_keys_do_not_mix,
    it_says_in_the_log_what_it_is,
)


def outcomes(store: CheckpointStore) -> Mapping[str, str]:
    """Return the promises by name: an empty text when it is kept, else what happened."""
    return {promise.__name__: _outcome(promise, store) for promise in PROMISES}


def _outcome(promise: Promise, store: CheckpointStore) -> str:
    try:
        promise(store)
    except Exception:  # the test that asks for this promise shows it
        return traceback.format_exc()
    return ""


def _text(store: CheckpointStore, key: str) -> str:
    found: Any = store.load(key)
    assert isinstance(found, str)
    return found
