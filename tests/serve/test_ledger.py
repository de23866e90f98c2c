"""Usage is written soon, in order, by another thread; nothing is lost while the database is away."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from castalia.errors import DatabaseError
from castalia.serve.database import Usage, open_database
from castalia.serve.ledger import Ledger


class Book:
    """Keeps what is written in it, unless it is closed."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.writes = 0
        self.is_closed = False

    def write(self, rows: list[int]) -> None:
        if self.is_closed:
            raise DatabaseError("the book is closed")
        self.rows += rows
        self.writes += 1


def test_many_rows_are_written_in_order_in_few_transactions() -> None:
    book = Book()
    ledger = Ledger(book.write)
    for row in range(1000):
        ledger.add(row)
    ledger.flush()
    assert book.rows == list(range(1000))
    assert book.writes < 20


def test_a_row_is_written_soon_without_being_asked_for() -> None:
    book = Book()
    Ledger(book.write).add(7)
    deadline = time.monotonic() + 10
    while not book.rows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert book.rows == [7]


def test_adding_waits_for_no_write() -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def slow(rows: list[int]) -> None:
        begun.set()
        may_go_on.wait(10)

    ledger = Ledger(slow)
    ledger.add(0)
    assert begun.wait(10)
    ledger.add(1)
    may_go_on.set()
    ledger.flush()


def test_what_cannot_be_written_is_kept_and_written_later(capsys: pytest.CaptureFixture[str]) -> None:
    book = Book()
    ledger, book.is_closed = Ledger(book.write), True
    ledger.add(1)
    with pytest.raises(DatabaseError, match="closed"):
        ledger.flush()
    time.sleep(0.3)
    assert "not recorded yet: the book is closed" in capsys.readouterr().err
    book.is_closed = False
    ledger.add(2)
    ledger.flush()
    assert book.rows == [1, 2]


def test_a_process_that_ends_has_written_all(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'castalia.db'}"
    work = f"""
from castalia.serve.database import Usage, open_database
database = open_database({url!r})
for number in range(50):
    database.record(Usage(endpoint="/v1/x", prompt_tokens=number, seconds=1.0, status=200))
"""
    subprocess.run([sys.executable, "-c", work], check=True)
    kept = open_database(url)
    with kept.session() as session:
        assert sorted(row.prompt_tokens for row in session.query(Usage)) == list(range(50))
    kept.close()
