"""Who may come in: keys and invitations by the hash of their secrets, rates a minute, quotas a month."""

import hashlib
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy import select, update

from castalia.errors import AccessError
from castalia.serve.database import Database, Invitation, Key, Limited, Usage, now
from castalia.serve.service.usage import Usage as Spent

KEY_START, INVITATION_START = "cst-", "inv-"
SHOWN = len(KEY_START) + 8
LARGEST_LIMIT = 10**15
LONGEST_NAME = 100
ALMOST = 1 - 1e-6
"""Of one request or token: who has waited exactly as long as told is not turned away by rounding."""

Made = TypeVar("Made", Key, Invitation)


@dataclass(frozen=True)
class Limits:
    """What a key may use; None is no limit. Tokens are those of prompts and completions. Raises AccessError (400)."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_month: int | None = None
    models: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, int) and not 1 <= value <= LARGEST_LIMIT:
                raise AccessError(f"{name} {value}: from 1 to {LARGEST_LIMIT}, or no limit", 400, "invalid_limit")

    @classmethod
    def of(cls, row: Limited) -> "Limits":
        """Return the limits of a key or an invitation."""
        models = None if row.models is None else tuple(row.models)
        return cls(row.requests_per_minute, row.tokens_per_minute, row.tokens_per_month, models)


@dataclass(frozen=True)
class Issued(Generic[Made]):
    """A new key or invitation with its secret, which is kept nowhere else."""

    row: Made
    secret: str = field(repr=False)


def fingerprint(secret: str) -> str:
    """Return the SHA-256 of a secret, hexadecimal: all that is ever stored or compared."""
    # No salt, no slow hash: 32 random bytes cannot be guessed from their hash.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def create_key(database: Database, name: str, limits: Limits = Limits()) -> Issued[Key]:
    """Make a key. Raises AccessError (400) for a name that cannot be."""
    secret = KEY_START + secrets.token_urlsafe(32)
    return Issued(database.add(_key(secret, name, limits)), secret)


def invite(database: Database, limits: Limits = Limits(), days: int = 7) -> Issued[Invitation]:
    """Make a one-time code for a key with these limits; it expires after so many days."""
    if not 1 <= days <= 3650:
        raise AccessError(f"an invitation is for 1 to 3650 days, not {days}", 400, "invalid_limit")
    code = INVITATION_START + secrets.token_urlsafe(32)
    row = Invitation(sha256=fingerprint(code), expires=now() + timedelta(days=days), **asdict(limits))
    return Issued(database.add(row), code)


def redeem(database: Database, code: str, name: str) -> Issued[Key]:
    """Make the key that an invitation is for. Of several people with one code, one gets it.

    Raises AccessError: 403 for a code that is unknown, used or expired, 400 for a name that cannot be.
    """
    secret = KEY_START + secrets.token_urlsafe(32)
    with database.session() as session:
        invitation = session.scalars(select(Invitation).filter_by(sha256=fingerprint(code))).one_or_none()
        if invitation is None:
            raise AccessError("there is no such invitation", 403, "invalid_invitation")
        if invitation.expires <= now():
            raise AccessError(f"the invitation expired on {invitation.expires:%Y-%m-%d}", 403, "invalid_invitation")
        key = _key(secret, name, Limits.of(invitation))
        session.add(key)
        session.flush()
        unused = update(Invitation).filter_by(id=invitation.id, used_by=None).returning(Invitation.id)
        if session.scalar(unused.values(used_by=key.id)) is None:
            raise AccessError("the invitation was used already", 403, "invalid_invitation")
    return Issued(key, secret)


class Gate:
    """Lets requests in, for one process: rates are counted in memory, from full when the process starts.

    With `open_to_all` a key is not needed, and one that is unknown counts as none: clients always send something.
    Keys are looked up at every request, so one that is revoked is refused at once.
    `clock` gives seconds that never run backwards; `now` gives the moment, in UTC, that decides the month.
    """

    def __init__(
        self,
        database: Database,
        open_to_all: bool,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = now,
    ):
        self.database, self.clock, self.now = database, clock, now
        self._open_to_all = open_to_all
        self._accounts: dict[int, _Account] = {}
        self._lock = Lock()

    @staticmethod
    def is_key(secret: str | None) -> bool:
        """Return whether a secret looks like a key; if not, nobody has to look for it."""
        return secret is not None and secret.startswith(KEY_START)

    def known(self, secret: str | None) -> Key | None:
        """Return the key with this secret, None if it has none and needs none. Raises AccessError (401)."""
        key = self.database.key(fingerprint(secret)) if secret and self.is_key(secret) else None
        if key is not None and key.revoked is not None:
            raise AccessError(f"the key {key.prefix}… was revoked", 401, "invalid_api_key")
        if key is None and not self._open_to_all:
            cause = "that is no key of this server" if secret else "this needs a key: Authorization: Bearer cst-…"
            raise AccessError(cause, 401, "invalid_api_key")
        return key

    def enter(self, secret: str | None, model: str | None) -> "Grant":
        """Let one request in (`model` None: one that needs no model).

        A request may enter while any tokens are left; what it used is charged when it is settled.
        Raises AccessError: 401 (no key, or not a valid one), 403 (model), 429 (rate or quota).
        """
        key = self.known(secret)
        if key is None:
            return Grant(self, model, Limits(), None, None)
        limits = Limits.of(key)
        with self._lock:
            account = self._accounts.setdefault(key.id, _Account(self, key.id))
        grant = Grant(self, model, limits, key.id, account)
        if model is not None and not grant.allows(model):
            raise AccessError(f"this key may not use the model {model!r}", 403, "model_not_allowed")
        account.enter(limits)
        return grant


class Grant:
    """One request that was let in; `key_id` is None if it came without a key."""

    def __init__(self, gate: Gate, model: str | None, limits: Limits, key_id: int | None, account: "_Account | None"):
        self.model, self.limits, self.key_id = model, limits, key_id
        self._gate, self._account, self._settled = gate, account, False

    def allows(self, model: str) -> bool:
        """Return whether the key may use this model."""
        return self.limits.models is None or model in self.limits.models

    def headers(self) -> dict[str, str]:
        """Return OpenAI's x-ratelimit-… headers as of now, for the limits that the key has."""
        return self._account.headers() if self._account else {}

    def settle(self, endpoint: str, spent: Spent, seconds: float, status: int) -> None:
        """Charge the tokens and record the request, once: later calls do nothing. The database is not waited for.

        `seconds` is how long it took, `status` is HTTP's.
        """
        if self._settled:
            return
        self._settled = True
        usage = Usage(
            key_id=self.key_id, when=self._gate.now(), endpoint=endpoint, model=self.model, seconds=seconds,
            prompt_tokens=spent.prompt, cached_tokens=spent.cached, completion_tokens=spent.completion,
            reasoning_tokens=spent.reasoning, status=status,
        )  # fmt: skip
        self._account.settle(usage) if self._account else self._gate.database.record(usage)


class _Bucket:
    """A token bucket: holds what one minute allows, fills evenly, and may be in debt."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self.level = self.at = 0.0

    def fill(self, limit: int | None, at: float) -> None:
        """Let time pass until second `at`. A new limit starts with a full bucket."""
        if limit != self.limit:
            self.limit, self.level = limit, float(limit or 0)
        elif limit is not None:
            self.level = min(limit, self.level + (at - self.at) * limit / 60)
        self.at = at

    def seconds_until(self, level: float) -> float:
        return 0.0 if self.limit is None else max(0.0, level - self.level) * 60 / self.limit

    def refusal(self) -> float:
        """Return in how many seconds there is one again; 0 where there is one now, or no limit."""
        return 0.0 if self.level >= ALMOST else self.seconds_until(1)

    def headers(self, what: str) -> dict[str, str]:
        if self.limit is None:
            return {}
        left = max(0, math.floor(self.level + 1 - ALMOST))
        reset = duration(self.seconds_until(self.limit))
        named = {"limit": str(self.limit), "remaining": str(left), "reset": reset}
        return {f"x-ratelimit-{name}-{what}": value for name, value in named.items()}


class _Account:
    """What one key has used of its rates, and of its quota in the month that was last looked at."""

    def __init__(self, gate: Gate, key_id: int):
        self._gate, self._key_id = gate, key_id
        self._lock = Lock()
        self._requests, self._tokens = _Bucket(), _Bucket()
        self._month: datetime | None = None
        self._used = 0

    def enter(self, limits: Limits) -> None:
        with self._lock:
            at = self._gate.clock()
            self._requests.fill(limits.requests_per_minute, at)
            self._tokens.fill(limits.tokens_per_minute, at)
            if limits.tokens_per_month is not None:
                self._keep_to_quota(limits.tokens_per_month)
            for bucket, what in ((self._requests, "requests"), (self._tokens, "tokens")):
                if wait := bucket.refusal():
                    message = f"the limit of {bucket.limit} {what} a minute is reached: again in {duration(wait)}"
                    raise AccessError(message, 429, "rate_limit_exceeded", wait, self._headers())
            self._requests.level -= 1

    def settle(self, usage: Usage) -> None:
        # Under the lock: a month that is being counted sees this either in the database's count or here, never in both.
        with self._lock:
            self._tokens.level -= usage.tokens
            if self._month == month_of(usage.when):
                self._used += usage.tokens
            self._gate.database.record(usage)

    def headers(self) -> dict[str, str]:
        with self._lock:
            for bucket in (self._requests, self._tokens):
                bucket.fill(bucket.limit, self._gate.clock())
            return self._headers()

    def _headers(self) -> dict[str, str]:
        return self._requests.headers("requests") | self._tokens.headers("tokens")

    def _keep_to_quota(self, limit: int) -> None:
        moment = self._gate.now()
        if self._month != (month := month_of(moment)):
            self._used = self._gate.database.tokens_since(self._key_id, month)
            self._month = month
        if self._used >= limit:
            following = month_of(month + timedelta(days=31))
            wait = (following - moment).total_seconds()
            message = f"the quota of {limit} tokens a month is used up: again on {following:%Y-%m-%d} (UTC)"
            raise AccessError(message, 429, "insufficient_quota", wait, self._headers())


def duration(seconds: float) -> str:
    """Return seconds as OpenAI's headers have them, rounded up to milliseconds: ``0s``, ``1.5s``, ``2m3s``."""
    minutes, milliseconds = divmod(math.ceil(seconds * 1000 - 1e-6), 60_000)
    return (f"{minutes}m" if minutes else "") + f"{milliseconds / 1000:g}s"


def month_of(moment: datetime) -> datetime:
    """Return when the month of a moment began."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _key(secret: str, name: str, limits: Limits) -> Key:
    # Names are shown in terminals, and revoked by: they neither move the cursor nor pass for a prefix.
    name = name.strip()
    if not (name and name.isprintable() and len(name) <= LONGEST_NAME and not name.startswith(KEY_START)):
        message = f"a key's name is 1 to {LONGEST_NAME} printable characters and does not start with {KEY_START}"
        raise AccessError(message, 400, "invalid_name")
    return Key(name=name, sha256=fingerprint(secret), prefix=secret[:SHOWN], **asdict(limits))
