"""The database: what is kept comes back, to nobody else, in SQLite and PostgreSQL alike; no message has a password."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from castalia.errors import DatabaseError
from castalia.serve.database import Database, Feedback, Key, StoredResponse, Usage, open_database

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
several_examples = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def key(database: Database, name: str, **fields: Any) -> int:
    return database.add(Key(name=name, sha256=name, prefix=name, **fields)).id


def used(database: Database, key_id: int | None, tokens: int, when: datetime) -> None:
    database.add(
        Usage(key_id=key_id, when=when, endpoint="/v1/x", model="m", prompt_tokens=tokens, seconds=1.0, status=200)
    )


def test_what_is_kept_is_there_when_the_database_is_opened_again(url: str) -> None:
    first = open_database(url)
    kept = key(first, "anna", models=["pocket"], tokens_per_month=10**12)
    first.add(StoredResponse(id="resp_1", body={"output": [1, None, "ä"]}, key_id=kept))
    first.close()
    again = open_database(url)
    found = again.key("anna")
    assert found is not None and (found.id, found.models, found.tokens_per_month) == (kept, ["pocket"], 10**12)
    assert found.requests_per_minute is None and found.revoked is None
    assert abs(found.created - datetime.now(UTC)) < timedelta(minutes=1)
    response = again.get(StoredResponse, "resp_1", kept)
    assert response is not None and response.body == {"output": [1, None, "ä"]}
    again.close()


def test_moments_come_back_as_the_same_moments_whatever_zone_they_were_given_in(database: Database) -> None:
    there = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=9)))
    key(database, "anna", created=there)
    (found,) = database.keys()
    assert found.created == there and found.created.tzinfo == UTC


def test_all_models_and_none_are_not_the_same(database: Database) -> None:
    key(database, "all", models=None)
    key(database, "none", models=[])
    assert [found.models for found in map(database.key, ("all", "none")) if found] == [None, []]


def test_what_belongs_to_another_key_is_as_if_it_did_not_exist(database: Database) -> None:
    anna, bob, nobody = key(database, "anna"), key(database, "bob"), None
    for owner in (anna, bob, nobody):
        database.add(StoredResponse(id=f"resp_{owner}", body={"of": owner}, key_id=owner))
        feedback = database.add(Feedback(kind="up", text="", conversation=[], key_id=owner))
        for other in {anna, bob, nobody} - {owner}:
            assert database.get(StoredResponse, f"resp_{owner}", other) is None
            assert not database.delete(StoredResponse, f"resp_{owner}", other)
            assert database.get(Feedback, feedback.id, other) is None
            assert not database.delete(Feedback, feedback.id, other)
    for owner in (anna, bob, nobody):
        assert [r.body for r in database.newest(StoredResponse, owner)] == [{"of": owner}]
        assert [f.key_id for f in database.newest(Feedback, owner)] == [owner]


def test_what_is_deleted_is_gone_and_nothing_else(database: Database) -> None:
    for number in (1, 2):
        database.add(StoredResponse(id=f"resp_{number}", body={}, key_id=None))
    assert database.delete(StoredResponse, "resp_1", None)
    assert not database.delete(StoredResponse, "resp_1", None)
    assert [r.id for r in database.newest(StoredResponse, None)] == ["resp_2"]


def test_the_newest_come_first_and_no_more_than_wanted(database: Database) -> None:
    for day in (2, 3, 1):
        database.add(StoredResponse(id=str(day), body={}, key_id=None, created=MIDNIGHT + timedelta(days=day)))
    assert [r.id for r in database.newest(StoredResponse, None)] == ["3", "2", "1"]
    assert [r.id for r in database.newest(StoredResponse, None, most=2)] == ["3", "2"]


@several_examples
@given(text=st.text(st.characters()), conversation=st.lists(JSON, max_size=3))
def test_any_text_and_any_json_can_be_kept(database: Database, text: str, conversation: list[Any]) -> None:
    kept = database.add(Feedback(kind="correction", text=text, conversation=conversation, key_id=None))
    found = database.get(Feedback, kept.id, None)
    assert found is not None
    assert found.text == "".join("?" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
    assert found.conversation == conversation


def test_an_id_that_no_database_can_hold_is_the_id_of_nothing(database: Database) -> None:
    assert database.get(StoredResponse, "resp_\0\ud800", None) is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (lambda: Feedback(kind="meh", text="", conversation=[]), "feedback is one of up, down, correction, not 'meh'"),
        (lambda: Feedback(kind="up", text="", conversation=[float("nan")]), "Out of range float"),
        (lambda: StoredResponse(id="taken", body={}), "(?i)unique"),
        (lambda: StoredResponse(id="new", body={}, key_id=77), "(?i)foreign key"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_line_without_what_was_in_it(
    database: Database, row: Callable[[], Any], said: str
) -> None:
    database.add(StoredResponse(id="taken", body={}, key_id=None))
    with pytest.raises(DatabaseError, match=said) as error:
        database.add(row())
    assert "\n" not in str(error.value)
    assert [r.id for r in database.newest(StoredResponse, None)] == ["taken"]


def test_tokens_are_counted_by_key_and_from_the_moment_that_is_asked_for(database: Database) -> None:
    anna, bob = key(database, "anna"), key(database, "bob")
    assert database.tokens_since(anna, MIDNIGHT) == 0
    used(database, anna, 1, MIDNIGHT - timedelta(microseconds=1))
    used(database, anna, 10, MIDNIGHT)
    used(database, anna, 3_000_000_000, MIDNIGHT + timedelta(days=3))
    used(database, bob, 5, MIDNIGHT - timedelta(days=1))
    used(database, None, 7, MIDNIGHT)
    assert database.tokens_since(anna, MIDNIGHT) == 3_000_000_010
    assert database.tokens_since(bob, MIDNIGHT) == 0
    assert database.usage_by_key(MIDNIGHT) == {
        anna: (3_000_000_010, MIDNIGHT + timedelta(days=3)), bob: (0, MIDNIGHT - timedelta(days=1))
    }  # fmt: skip


def test_threads_write_and_read_at_once_and_nothing_is_lost(database: Database) -> None:
    anna = key(database, "anna")

    def work(number: int) -> None:
        database.add(StoredResponse(id=str(number), body={"number": number}, key_id=anna))
        used(database, anna, 1, MIDNIGHT)
        assert database.get(StoredResponse, str(number), anna) is not None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(80)))
    assert len(database.newest(StoredResponse, anna)) == 80
    assert database.tokens_since(anna, MIDNIGHT) == 80


def test_several_who_open_a_new_database_at_once_all_find_it_whole(url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: open_database(url), range(6)))
    for number, database in enumerate(opened):
        key(database, str(number))
        assert len(database.keys()) == number + 1
    for database in opened:
        database.close()


def test_an_error_undoes_its_transaction(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.session() as session:
        session.add(Key(name="anna", sha256="anna", prefix="anna"))
        session.flush()
        raise ZeroDivisionError
    assert database.keys() == []


def test_a_database_in_memory_is_one_for_all_threads() -> None:
    database = open_database("sqlite://")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: key(database, str(number)), range(20)))
    assert len(database.keys()) == 20
    database.close()


def test_a_file_is_for_its_user_alone_and_its_directory_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "castalia.db"
    database = open_database(f"sqlite:///{path}")
    key(database, "anna")
    assert {stat.S_IMODE(os.stat(file).st_mode) for file in path.parent.iterdir()} == {0o600}
    database.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("castalia.db", "that is not the URL of a database"),
        ("", "that is not the URL of a database"),
        ("postgresql://anna:sesame@host:port/x", "that is not the URL of a database"),
        ("mysql://anna:sesame@host/x", "not mysql"),
        ("postgresql://anna:open@sesame@host/x", "more than one @"),
        ("postgresql://anna:open@ses?ame@host/x", "more than one @"),
        ("postgresql://anna:sesame@127.0.0.1:1/x", "127.0.0.1/x cannot be opened"),
        ("postgresql+psycopg://anna:sesame@127.0.0.1:1/x", "127.0.0.1/x cannot be opened"),
        ("postgresql://127.0.0.1:1/x?user=anna&password=sesame", "127.0.0.1/x cannot be opened"),
        ("postgresql://anna:sesame@127.0.0.1:1/x?sesame=sesame", "cannot be opened: .*\\*\\*\\*"),
        ("sqlite:///{tmp}", "cannot be opened"),
        ("sqlite:///{tmp}/text", "cannot be opened: file is not a database"),
        ("sqlite:///{tmp}/text/castalia.db", "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line_without_its_password(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "text").write_text("not a database " * 100)
    with pytest.raises(DatabaseError, match=said) as error:
        open_database(url.format(tmp=tmp_path))
    assert "\n" not in str(error.value)
    assert "sesame" not in str(error.value) and "ame@" not in str(error.value)
    assert error.value.__context__ is None or error.value.__suppress_context__, "a log would have the driver's words"


UNREACHABLE = """the database 127.0.0.1/x cannot be opened: connection failed: \
connection to server at "127.0.0.1", port 1 failed: Connection refused"""
"""What is said in any case."""


@several_examples
@given(word=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=6))
def test_no_password_whatever_it_is_is_ever_shown(word: str) -> None:
    assume(word not in UNREACHABLE)
    password = f"{word}-sesame"
    for written in (password, quote(password, safe="")):
        with pytest.raises(DatabaseError) as error:
            open_database(f"postgresql://anna:{written}@127.0.0.1:1/x?connect_timeout=2")
        assert word not in str(error.value) and "sesame" not in str(error.value)


def test_a_wrong_password_is_said_to_be_wrong_and_not_what_it_is(postgresql: Callable[[], str]) -> None:
    server = postgresql().partition("@")[2]
    with pytest.raises(DatabaseError, match=r"password authentication failed for user .castalia") as error:
        open_database(f"postgresql://castalia:abracadabra@{server}")
    assert "abracadabra" not in str(error.value)


def test_a_server_that_closed_its_connections_is_connected_to_again(postgresql: Callable[[], str]) -> None:
    url = postgresql()
    database, other = open_database(url), open_database(url)
    key(database, "anna")
    with other.session() as session:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        closed = session.connection().exec_driver_sql(f"{others} AND pid <> pg_backend_pid()").all()
    assert closed == [(True,)]
    assert len(database.keys()) == 1
    database.close()
    other.close()
