"""Rows that are written a moment later, many in one transaction, so that nobody waits for the disk."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from castalia.errors import DatabaseError

SOON = 0.1
"""Seconds that a row waits for others."""
MOST = 100_000
"""Rows that are kept while the database cannot be written; the oldest go first."""

Row = TypeVar("Row")


class Ledger(Generic[Row]):
    """What is added is given to `write` soon, in order, by a thread of its own; at the latest as the process ends.

    While `write` raises DatabaseError rows are kept, and tried again with the next that comes.
    """

    def __init__(self, write: Callable[[list[Row]], object]) -> None:
        self._write = write
        self._rows: list[Row] = []
        self._is_due = False
        self._lock, self._writing = Lock(), Lock()
        self._thread = ThreadPoolExecutor(1, "ledger")

    def add(self, row: Row) -> None:
        """Take in a row; it waits for nothing."""
        with self._lock:
            self._rows.append(row)
            del self._rows[:-MOST]
            was_due, self._is_due = self._is_due, True
        if not was_due:
            self._thread.submit(self._soon)

    def flush(self) -> None:
        """Write all that was added before. Raises DatabaseError if that cannot be."""
        with self._writing:
            with self._lock:
                rows, self._rows = self._rows, []
            try:
                if rows:
                    self._write(rows)
            except DatabaseError:
                with self._lock:
                    self._rows[:0] = rows
                raise

    def _soon(self) -> None:
        time.sleep(SOON)
        with self._lock:
            self._is_due = False
        try:
            self.flush()
        except DatabaseError as error:
            print(f"usage is not recorded yet: {error}", file=sys.stderr, flush=True)
