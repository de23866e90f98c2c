"""The cache: pages of keys and values, counted by who uses them, found again by what they hold."""

from collections import OrderedDict

import torch

from castalia.engine.context import PAGE, Context
from castalia.model.config import ModelConfig


class PagePool:
    """A fixed number of pages of `PAGE` positions. Requests that begin alike share pages; nothing is copied.

    A page nobody uses any more keeps what it holds until its room is needed, so that a later request finds it.
    ``memory`` is [layers, 2 (keys, values), pages, kv_heads, PAGE, head_dim].
    """

    def __init__(self, config: ModelConfig, pages: int, device: torch.device, dtype: torch.dtype) -> None:
        shape = (config.layers, 2, pages, config.key_value_heads, PAGE, config.head_dim)
        self.memory = torch.empty(shape, device=device, dtype=dtype)
        self.users = [0] * pages
        self.key_of: dict[int, bytes] = {}
        self.page_of: dict[bytes, int] = {}
        self.clear()

    def clear(self) -> None:
        """Forget what unused pages hold: the weights have changed."""
        for page in self.key_of.copy():
            self._forget(page)
        # Unused pages, those that hold nothing known first, then the longest unused.
        self.unused = OrderedDict.fromkeys(page for page, users in enumerate(self.users) if not users)

    @property
    def free(self) -> int:
        """Pages that can be had."""
        return len(self.unused)

    def take(self) -> int | None:
        """Return a page of one's own, or None if all are in use."""
        if not self.unused:
            return None
        page, _ = self.unused.popitem(last=False)
        self._forget(page)
        self.users[page] = 1
        return page

    def find(self, key: bytes) -> int | None:
        """Return the page that holds what `key` stands for, now used by one more; None if there is none."""
        page = self.page_of.get(key)
        if page is not None:
            if not self.users[page]:
                del self.unused[page]
            self.users[page] += 1
        return page

    def know(self, page: int, context: Context, index: int) -> None:
        """Let others find `page`, which holds whole page `index` of `context`."""
        key = context.page_key(index)
        if key not in self.page_of:
            self.page_of[key], self.key_of[page] = page, key

    def release(self, page: int) -> None:
        """Use `page` no longer."""
        self.users[page] -= 1
        if not self.users[page]:
            self.unused[page] = None
            if page not in self.key_of:
                self.unused.move_to_end(page, last=False)

    def _forget(self, page: int) -> None:
        key = self.key_of.pop(page, None)
        if key is not None:
            del self.page_of[key]
