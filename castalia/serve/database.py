"""What a server keeps: keys, invitations, usage, feedback and stored responses, in SQLite or PostgreSQL."""

import json
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.exc import OperationalError, SQLAlchemyError, StatementError
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker, validates

from castalia.errors import DatabaseError
from castalia.serve.ledger import Ledger

KINDS = ("up", "down", "correction")
WAIT_SECONDS = 10
"""How long a write waits for another one (SQLite), and a connection for its server (PostgreSQL)."""
FORMS = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
# Values never appear in messages and logs. JSON has no NaN, which PostgreSQL refuses.
SHARED: dict[str, Any] = {"hide_parameters": True, "json_serializer": partial(json.dumps, allow_nan=False)}
# What makes several processes that open a new database at once create its tables one after the other.
PREPARATION = {
    "sqlite": ("PRAGMA journal_mode=WAL", "BEGIN IMMEDIATE"),
    "postgresql": ("SELECT pg_advisory_xact_lock(7165934)",),
}


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class _Moment(sql.TypeDecorator[datetime]):
    """A moment with its time zone; SQLite keeps none, so everything is stored in UTC."""

    impl = sql.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sql.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sql.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class _Words(sql.TypeDecorator[str]):
    """Text from anybody: what PostgreSQL cannot hold (zeros, halves of characters) becomes a question mark."""

    impl = sql.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sql.Dialect) -> str | None:
        return None if value is None else value.encode(errors="replace").decode().replace("\0", "?")


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: sql.BigInteger().with_variant(sql.Integer(), "sqlite"),
        str: _Words(),
        datetime: _Moment(),
        list[str]: sql.JSON(none_as_null=True),
        dict[str, Any]: sql.JSON(),
        list[Any]: sql.JSON(),
    }


Row = TypeVar("Row", bound=Base)


class Limited:
    """The limits that a key has, or will have: None is no limit. `models` None is every model."""

    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    tokens_per_month: Mapped[int | None]
    models: Mapped[list[str] | None]


class Key(Limited, Base):
    """A key. Of its secret only the SHA-256 is kept, and the first characters to know it by."""

    __tablename__ = "keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]
    created: Mapped[datetime] = mapped_column(default=now)
    revoked: Mapped[datetime | None]


class Invitation(Limited, Base):
    """A code that makes one key, once, until it expires; kept as its SHA-256. The limits are those of that key."""

    __tablename__ = "invitations"
    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
    used_by: Mapped[int | None] = mapped_column(sql.ForeignKey("keys.id"))


class Usage(Base):
    """One request, served or failed (`status` is HTTP's).

    Cached tokens are among those of the prompt, reasoning tokens among those of the completion.
    """

    __tablename__ = "usage"
    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[int | None] = mapped_column(sql.ForeignKey("keys.id"))
    when: Mapped[datetime] = mapped_column(default=now)
    endpoint: Mapped[str]
    model: Mapped[str | None]
    prompt_tokens: Mapped[int] = mapped_column(default=0)
    cached_tokens: Mapped[int] = mapped_column(default=0)
    completion_tokens: Mapped[int] = mapped_column(default=0)
    reasoning_tokens: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float]
    status: Mapped[int]
    __table_args__ = (sql.Index("usage_by_key", "key_id", "when"),)

    @hybrid_property
    def tokens(self) -> int:
        """What is charged."""
        return self.prompt_tokens + self.completion_tokens


class Owned:
    """Something that was kept for a key, or for people without one."""

    key_id: Mapped[int | None] = mapped_column(sql.ForeignKey("keys.id"), index=True)
    created: Mapped[datetime] = mapped_column(default=now)


class Feedback(Owned, Base):
    """What somebody thought of an answer: up, down, or a correction, which `text` is; and the conversation."""

    __tablename__ = "feedback"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    text: Mapped[str]
    conversation: Mapped[list[Any]]

    @validates("kind")
    def _known(self, _: str, kind: str) -> str:
        if kind not in KINDS:
            raise DatabaseError(f"feedback is one of {', '.join(KINDS)}, not {kind!r}")
        return kind


class StoredResponse(Owned, Base):
    """A response that its key may ask for again, or go on from."""

    __tablename__ = "responses"
    id: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]


Kept = TypeVar("Kept", Feedback, StoredResponse)


class Database:
    """An open database, for use from any thread. Every method is one transaction and raises DatabaseError.

    What is kept for one key, or for people without one (`key_id` None), is to others as if it did not exist.
    `place` is what people call the database: without user and password.
    """

    def __init__(self, engine: sql.Engine, place: str):
        self.place = place
        self._engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        self._usage = Ledger[Usage](self._write)

    @contextmanager
    def session(self) -> Generator[Session]:
        """Yield a transaction that is committed at the end, and undone by an error. Raises DatabaseError."""
        try:
            with self._sessions.begin() as session:
                yield session
        except (SQLAlchemyError, ValueError, OverflowError) as error:  # drivers, of a value that no column holds
            raise DatabaseError(f"the database {self.place}: {_reason(error)}") from error

    def close(self) -> None:
        """Write what is left, and close all connections that are not in use."""
        self.flush()
        self._engine.dispose()

    def record(self, usage: Usage) -> None:
        """Write usage within a moment, without waiting for it; all that is asked about usage counts it at once."""
        self._usage.add(usage)

    def flush(self) -> None:
        """Write all usage that was recorded before."""
        self._usage.flush()

    def add(self, row: Row) -> Row:
        """Write a new row of any table; returns it with its id."""
        self._write([row])
        return row

    def _write(self, rows: Sequence[Base]) -> None:
        with self.session() as session:
            session.add_all(rows)

    def keys(self) -> Sequence[Key]:
        """Return all keys, revoked ones too, oldest first."""
        with self.session() as session:
            return session.scalars(sql.select(Key).order_by(Key.id)).all()

    def key(self, sha256: str) -> Key | None:
        """Return the key whose secret has this SHA-256 (hexadecimal)."""
        with self.session() as session:
            return session.scalars(sql.select(Key).where(Key.sha256 == sha256)).one_or_none()

    def tokens_since(self, key_id: int, start: datetime) -> int:
        """Return how many tokens of prompts and completions this key has used since `start`."""
        self.flush()
        with self.session() as session:
            query = sql.select(sql.func.sum(Usage.tokens)).where(Usage.key_id == key_id, Usage.when >= start)
            return int(session.scalar(query) or 0)

    def usage_by_key(self, start: datetime) -> dict[int, tuple[int, datetime]]:
        """Return, by the id of every key ever used, its tokens since `start` and when it was last used."""
        self.flush()
        with self.session() as session:
            tokens = sql.func.sum(Usage.tokens).filter(Usage.when >= start)
            rows = session.execute(sql.select(Usage.key_id, tokens, sql.func.max(Usage.when)).group_by(Usage.key_id))
            return {key: (int(tokens or 0), last) for key, tokens, last in rows if key is not None}

    def get(self, table: type[Kept], id: int | str, key_id: int | None) -> Kept | None:
        """Return the feedback or response with this id, None if this key has none."""
        with self.session() as session:
            return session.scalars(sql.select(table).filter_by(id=id, key_id=key_id)).one_or_none()

    def newest(self, table: type[Kept], key_id: int | None, most: int = 100) -> Sequence[Kept]:
        """Return the newest feedback or responses of this key, newest first."""
        with self.session() as session:
            ordered = sql.select(table).order_by(table.created.desc(), table.id.desc())
            return session.scalars(ordered.filter_by(key_id=key_id).limit(most)).all()

    def delete(self, table: type[Kept], id: int | str, key_id: int | None) -> bool:
        """Delete the feedback or response with this id; returns whether this key had one."""
        with self.session() as session:
            query = sql.delete(table).filter_by(id=id, key_id=key_id).returning(table.id)
            return session.scalar(query) is not None


def open_database(url: str) -> Database:
    """Open the database at `url`, SQLite or PostgreSQL (by psycopg 3); makes what is missing of file and tables.

    ``sqlite://`` is one in memory, gone when it is closed. Raises DatabaseError; no message has the URL's password.
    """
    try:
        parsed = sql.make_url(url)
    except (SQLAlchemyError, ValueError):
        raise DatabaseError(f"that is not the URL of a database: {FORMS}") from None
    kind = parsed.get_backend_name()
    if kind in ("postgres", "postgresql"):
        # What stands after the first of two would be taken for the host, and said in messages.
        if url.count("@") > 1:
            raise DatabaseError("the URL of the database has more than one @: in a password, write it as %40")
        parsed, place = parsed.set(drivername="postgresql+psycopg"), f"{parsed.host or ''}/{parsed.database or ''}"
    elif kind == "sqlite":
        parsed, place = parsed.set(drivername="sqlite"), parsed.database or ":memory:"
    else:
        raise DatabaseError(f"a database is {FORMS}, not {kind}")
    try:
        engine = _sqlite(parsed) if kind == "sqlite" else _postgresql(parsed)
        _prepare(engine)
    except (SQLAlchemyError, OSError, ValueError, ImportError) as error:
        reason = _reason(error)
        in_query = [word for name, words in parsed.normalized_query.items() if "password" in name for word in words]
        for password in filter(None, (parsed.password, *in_query)):
            reason = reason.replace(password, "***")
        raise DatabaseError(f"the database {place} cannot be opened: {reason}") from None
    return Database(engine, place)


def _prepare(engine: sql.Engine) -> None:
    """Make the tables that are missing. Who first turns on WAL while others open the file is refused at once, without
    SQLite's waiting (sqlite.org/wal.html, "Sometimes queries return SQLITE_BUSY"): so it is tried again."""
    last = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with engine.begin() as connection:
                for statement in PREPARATION[engine.dialect.name]:
                    connection.exec_driver_sql(statement).close()
                Base.metadata.create_all(connection)
            return
        except OperationalError as error:
            if "database is locked" not in str(error) or time.monotonic() > last:
                raise
            time.sleep(0.02)


def _sqlite(url: sql.URL) -> sql.Engine:
    options = SHARED
    if url.database and url.database != ":memory:":
        path = Path(url.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Conversations are in it: for nobody else to read. SQLite gives its other files the same rights.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    else:
        # Every connection would have a database of its own: there is one, and threads wait for it.
        options = SHARED | {"poolclass": sql.QueuePool, "pool_size": 1, "max_overflow": 0}
    engine = sql.create_engine(url, connect_args={"timeout": WAIT_SECONDS, "check_same_thread": False}, **options)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON"))
    return engine


def _postgresql(url: sql.URL) -> sql.Engine:
    patience = {} if "connect_timeout" in url.query else {"connect_timeout": WAIT_SECONDS}
    return sql.create_engine(url, connect_args=patience, pool_pre_ping=True, **SHARED)


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, StatementError) and error.orig else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
