"""Access: who may come in, how often, how much; and that one key's counts and secrets are nobody else's."""

import re
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.errors import AccessError
from castalia.serve.access import Gate, Grant, Limits, create_key, duration, fingerprint, invite, redeem
from castalia.serve.database import Base, Database, Invitation, Key, Usage, open_database
from castalia.serve.service.usage import Usage as Tokens


class Time:
    """A clock that stands still until it is moved; seconds and moments go together."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.start = datetime(2026, 1, 31, 23, 0, tzinfo=UTC) - timedelta(seconds=1000)

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def gate(database: Database, time: Time) -> Gate:
    return Gate(database, open_to_all=False, clock=time.clock, now=time.now)


def in_memory(time: Time) -> Gate:
    return Gate(open_database("sqlite://"), open_to_all=False, clock=time.clock, now=time.now)


def refusal(enter: Callable[[], Any]) -> AccessError:
    with pytest.raises(AccessError) as error:
        enter()
    assert "\n" not in str(error.value)
    return error.value


def spend(grant: Grant, tokens: int) -> None:
    grant.settle("/v1/responses", Tokens(prompt=tokens), 0.5, 200)


def test_a_key_lets_in_and_nothing_else_does(gate: Gate, database: Database) -> None:
    issued = create_key(database, "anna")
    assert gate.enter(issued.secret, "pocket").key_id == issued.row.id
    for wrong in (None, "", "sk-something", issued.secret[:-1], issued.secret + "A", issued.row.sha256, "cst-\0\ud800"):
        for knock in (partial(gate.enter, wrong, "pocket"), partial(gate.known, wrong)):
            error = refusal(knock)
            assert (error.status, error.code, error.retry_after) == (401, "invalid_api_key", None)
            assert not wrong or wrong not in str(error)


def test_a_key_that_is_revoked_is_refused_at_once_also_where_all_may_enter(database: Database) -> None:
    issued = create_key(database, "anna")
    gates = [Gate(database, open_to_all) for open_to_all in (False, True)]
    for gate in gates:
        gate.enter(issued.secret, None)
    with database.session() as session:
        session.get_one(Key, issued.row.id).revoked = datetime.now(UTC)
    for gate in gates:
        error = refusal(partial(gate.enter, issued.secret, None))
        assert (error.status, error.code) == (401, "invalid_api_key")
        assert issued.secret not in str(error)


def test_where_all_may_enter_a_key_is_not_needed_but_its_limits_hold(database: Database) -> None:
    gate = Gate(database, open_to_all=True)
    for secret in (None, "sk-anything", "cst-unknown"):
        grant = gate.enter(secret, "pocket")
        assert (grant.key_id, grant.headers()) == (None, {})
        grant.settle("/v1/responses", Tokens(prompt=3), 0.5, 200)
    secret = create_key(database, "anna", Limits(requests_per_minute=1)).secret
    gate.enter(secret, "pocket")
    assert refusal(lambda: gate.enter(secret, "pocket")).status == 429
    database.flush()
    with database.session() as session:
        assert session.scalars(sql.select(Usage.key_id)).all() == [None] * 3


def test_a_key_may_use_its_models_and_no_others(gate: Gate, database: Database) -> None:
    secret = create_key(database, "anna", Limits(models=("pocket", "nano"), requests_per_minute=1)).secret
    error = refusal(lambda: gate.enter(secret, "maverick"))
    assert (error.status, error.code) == (403, "model_not_allowed")
    assert "maverick" in str(error)
    grant = gate.enter(secret, "nano")  # what was refused has cost nothing
    assert grant.allows("pocket") and not grant.allows("maverick")


def test_requests_of_a_minute_may_come_at_once_and_then_as_they_are_earned(
    gate: Gate, database: Database, time: Time
) -> None:
    secret = create_key(database, "anna", Limits(requests_per_minute=3)).secret
    for _ in range(3):
        gate.enter(secret, None)
    error = refusal(lambda: gate.enter(secret, None))
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 20)
    assert error.headers == {
        "retry-after": "20",
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    time.seconds += 20
    gate.enter(secret, None)
    refusal(lambda: gate.enter(secret, None))
    time.seconds += 3600
    for _ in range(3):
        gate.enter(secret, None)
    refusal(lambda: gate.enter(secret, None))


def test_a_request_may_enter_while_any_tokens_are_left_and_leaves_a_debt(
    gate: Gate, database: Database, time: Time
) -> None:
    secret = create_key(database, "anna", Limits(tokens_per_minute=60)).secret
    spend(gate.enter(secret, None), 59)
    early, late = gate.enter(secret, None), gate.enter(secret, None)
    assert early.headers() == {
        "x-ratelimit-limit-tokens": "60",
        "x-ratelimit-remaining-tokens": "1",
        "x-ratelimit-reset-tokens": "59s",
    }
    early.settle("/v1/responses", Tokens(prompt=20, cached=20, completion=41, reasoning=40), 0.5, 200)
    assert late.headers()["x-ratelimit-remaining-tokens"] == "0"
    assert late.headers()["x-ratelimit-reset-tokens"] == "2m0s"
    error = refusal(lambda: gate.enter(secret, None))
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 61)
    time.seconds += 61
    gate.enter(secret, None)
    spend(late, 1)
    assert refusal(lambda: gate.enter(secret, None)).retry_after == pytest.approx(1)


def test_what_was_refused_for_its_tokens_has_not_cost_a_request(gate: Gate, database: Database) -> None:
    secret = create_key(database, "anna", Limits(requests_per_minute=10, tokens_per_minute=5)).secret
    grant = gate.enter(secret, None)
    spend(grant, 5)
    refusal(lambda: gate.enter(secret, None))
    assert grant.headers()["x-ratelimit-remaining-requests"] == "9"


def test_the_quota_counts_what_was_recorded_and_begins_anew_with_the_month(
    gate: Gate, database: Database, time: Time
) -> None:
    secret = create_key(database, "anna", Limits(tokens_per_month=100)).secret
    spend(gate.enter(secret, None), 60)
    last = gate.enter(secret, None)
    spend(last, 60)
    restarted = Gate(database, open_to_all=False, clock=time.clock, now=time.now)
    for counting in (gate, restarted):
        error = refusal(partial(counting.enter, secret, None))
        assert (error.status, error.code, error.retry_after) == (429, "insufficient_quota", 3600)
        assert "2026-02-01" in str(error)
    time.seconds += 3600
    spend(gate.enter(secret, None), 99)
    spend(gate.enter(secret, None), 1)
    refusal(lambda: gate.enter(secret, None))
    refusal(lambda: restarted.enter(secret, None))


def test_a_request_that_ends_in_the_next_month_is_counted_there_once(
    gate: Gate, database: Database, time: Time
) -> None:
    secret = create_key(database, "anna", Limits(tokens_per_month=100)).secret
    grant = gate.enter(secret, None)
    time.seconds += 3600
    spend(grant, 99)
    spend(gate.enter(secret, None), 1)
    assert refusal(lambda: gate.enter(secret, None)).code == "insufficient_quota"


def test_a_request_that_ended_just_before_the_month_is_not_counted_in_it(
    gate: Gate, database: Database, time: Time
) -> None:
    secret = create_key(database, "anna", Limits(tokens_per_month=100)).secret
    time.seconds += 3600
    grant = gate.enter(secret, None)
    time.seconds -= 1  # as between two threads, of which the one that looked at the time first comes second
    spend(grant, 100)
    time.seconds += 1
    gate.enter(secret, None)


def test_usage_is_recorded_once_however_often_a_request_is_settled(gate: Gate, database: Database, time: Time) -> None:
    issued = create_key(database, "anna", Limits(tokens_per_minute=100))
    grant = gate.enter(issued.secret, "pocket")
    for status in (200, 500):
        grant.settle("/v1/chat/completions", Tokens(10, 4, 20, 15), 1.25, status)
    assert grant.headers()["x-ratelimit-remaining-tokens"] == "70"
    database.flush()
    with database.session() as session:
        (usage,) = session.scalars(sql.select(Usage)).all()
    assert (usage.key_id, usage.when, usage.endpoint) == (issued.row.id, time.now(), "/v1/chat/completions")
    assert (usage.model, usage.seconds, usage.status) == ("pocket", 1.25, 200)
    assert (usage.prompt_tokens, usage.cached_tokens) == (10, 4)
    assert (usage.completion_tokens, usage.reasoning_tokens) == (20, 15)


Steps = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 40), st.integers(0, 50)), max_size=40)
LIMITS = (Limits(requests_per_minute=4, tokens_per_month=400), Limits(tokens_per_minute=30, requests_per_minute=7))


def outcomes(steps: list[tuple[int, float, int]], who: set[int]) -> list[tuple[int, str]]:
    """Return what the gate says to each step of those in `who`, after each has waited; the others stay away."""
    time, said = Time(), []
    gate = in_memory(time)
    secrets = [create_key(gate.database, "anna", limits).secret for limits in LIMITS]
    for number, wait, tokens in steps:
        time.seconds += wait
        if number in who:
            try:
                grant = gate.enter(secrets[number], None)
                spend(grant, tokens)
                said.append((number, str(grant.headers())))
            except AccessError as error:
                said.append((number, f"{error} {error.headers}"))
    gate.database.close()
    return said


@settings(max_examples=25)
@given(Steps)
def test_what_one_key_does_changes_nothing_for_another(steps: list[tuple[int, float, int]]) -> None:
    both = outcomes(steps, {0, 1})
    for number in (0, 1):
        assert [said for who, said in both if who == number] == [said for _, said in outcomes(steps, {number})]


@settings(max_examples=25)
@given(st.integers(1, 9), st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_in_any_time_no_more_enter_than_a_minutes_worth_and_what_was_earned(limit: int, waits: list[float]) -> None:
    time, entered = Time(), []
    gate = in_memory(time)
    secret = create_key(gate.database, "anna", Limits(requests_per_minute=limit)).secret
    for wait in waits:
        time.seconds += wait
        try:
            gate.enter(secret, None)
        except AccessError as error:
            assert error.retry_after is not None and 0 < error.retry_after <= 60 / limit + 1e-6
            time.seconds += error.retry_after
            gate.enter(secret, None)  # who waits as long as told is let in
        entered.append(time.seconds)
    for first in range(len(entered)):
        for last in range(first, len(entered)):
            assert last - first + 1 <= limit * (1 + (entered[last] - entered[first]) / 60) + 1e-3
    gate.database.close()


def test_of_many_threads_as_many_enter_as_may(gate: Gate, database: Database) -> None:
    secret = create_key(database, "anna", Limits(requests_per_minute=10, tokens_per_month=1000)).secret

    def work(_: int) -> bool:
        try:
            grant = gate.enter(secret, None)
        except AccessError:
            return False
        spend(grant, 7)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(40))) == 10
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert database.tokens_since(database.keys()[0].id, start) == 70


@given(st.floats(0, 1e6))
def test_durations_read_as_openais_and_are_never_too_short(seconds: float) -> None:
    match = re.fullmatch(r"(?:([1-9]\d*)m)?(\d{1,2}(?:\.\d{1,3})?)s", duration(seconds))
    assert match is not None
    assert float(match[2]) < 60
    assert -1e-6 <= int(match[1] or 0) * 60 + float(match[2]) - seconds <= 0.0011


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (1.5, "1.5s"), (123, "2m3s"), (59.9999, "1m0s")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_secrets_are_long_and_never_the_same_and_kept_nowhere(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'castalia.db'}")
    issued = [create_key(database, "anna") for _ in range(20)] + [invite(database) for _ in range(20)]
    issued.append(redeem(database, issued[-1].secret, "bob"))
    assert len({one.secret for one in issued}) == len(issued)
    for one in issued:
        assert re.fullmatch(r"(cst|inv)-[\w-]{43}", one.secret)
        assert one.secret not in repr(one) and one.row.sha256 == fingerprint(one.secret)
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert one.secret.encode() not in written and one.secret[4:30].encode() not in written
    database.close()


def test_a_secret_is_in_no_trace_of_a_database_that_fails(database: Database) -> None:
    gate = Gate(database, open_to_all=False)
    secret = create_key(database, "anna").secret
    with database.session() as session:
        Base.metadata.drop_all(session.connection())
    try:
        gate.enter(secret, None)
    except Exception as error:
        said = "".join(traceback.format_exception(error))
    assert secret not in said and fingerprint(secret) not in said


def test_an_invitation_makes_one_key_with_its_limits(database: Database) -> None:
    limits = Limits(requests_per_minute=2, tokens_per_minute=3, tokens_per_month=4, models=("pocket",))
    code = invite(database, limits).secret
    issued = redeem(database, code, "  anna ")
    assert Limits.of(issued.row) == limits and issued.row.name == "anna"
    assert Gate(database, open_to_all=False).enter(issued.secret, "pocket").key_id == issued.row.id
    error = refusal(lambda: redeem(database, code, "bob"))
    assert (error.status, error.code) == (403, "invalid_invitation")
    assert "used" in str(error)
    assert len(database.keys()) == 1


def test_an_invitation_that_is_unknown_or_expired_makes_no_key(database: Database) -> None:
    issued = invite(database, days=1)
    assert timedelta(hours=23) < issued.row.expires - datetime.now(UTC) <= timedelta(days=1)
    with database.session() as session:
        session.get_one(Invitation, issued.row.id).expires = datetime.now(UTC) - timedelta(seconds=1)
    assert "expired" in str(refusal(lambda: redeem(database, issued.secret, "anna")))
    assert "no such" in str(refusal(lambda: redeem(database, issued.secret + "x", "anna")))
    assert database.keys() == []


def test_of_several_with_one_code_one_gets_the_key(database: Database) -> None:
    code = invite(database).secret

    def work(number: int) -> bool:
        try:
            redeem(database, code, f"visitor {number}")
        except AccessError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == 1
    assert len(database.keys()) == 1


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[2J", "x" * 101, "cst-Xa81", "\ud800"])
def test_a_name_that_would_mislead_is_refused_and_does_not_use_up_an_invitation(database: Database, name: str) -> None:
    code = invite(database).secret
    for make in (lambda: create_key(database, name), lambda: redeem(database, code, name)):
        error = refusal(make)
        assert (error.status, error.code) == (400, "invalid_name")
    assert redeem(database, code, "anna").row.name == "anna"


@pytest.mark.parametrize("limits", [{"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"tokens_per_month": 2**63}])
def test_limits_that_cannot_be_are_refused(limits: dict[str, int]) -> None:
    error = refusal(lambda: Limits(**limits))
    assert error.status == 400 and next(iter(limits)) in str(error)
