"""Which positions are computed next: continuous batching with chunked prefill, and preemption by recomputing."""

from collections import deque
from dataclasses import dataclass, field

from castalia.engine.context import PAGE
from castalia.engine.pages import PagePool
from castalia.engine.request import Request


@dataclass
class Scheduler:
    """Requests take part in a step with what they have not computed yet, up to `positions` positions in all.

    Those that only decode have one position each and come first; prompts follow in chunks. A picture is never cut,
    for its patches see each other.
    """

    pool: PagePool
    positions: int = 1024
    encoded: bool = False
    """Whether pictures are encoded before they are read: one that is found in part is computed again, as a whole."""
    running: dict[Request, None] = field(default_factory=dict)
    """In the order they came; the keys of a dict, so that one is found at once among many."""
    waiting: deque[Request] = field(default_factory=deque)

    def schedule(self) -> list[tuple[Request, int]]:
        """Return requests with the number of positions each computes in this step; their pages are there."""
        left = self.positions
        chunks: list[tuple[Request, int]] = []
        in_step: set[Request] = set()
        for request in sorted(self.running, key=lambda r: len(r.context) - r.computed > 1):
            if request not in self.running:
                continue  # was preempted a moment ago
            count = self._count(request, left, chunks)
            if count and self._reserve(request, count, in_step):
                chunks.append((request, count))
                in_step.add(request)
                left -= count
        being_computed = {key for request, _ in chunks for key in _keys_ahead(request)[:1]}
        for request in list(self.waiting):
            if left <= 0:
                break
            self._share(request)
            ahead = _keys_ahead(request)[:1]
            if ahead and ahead[0] in being_computed:
                self._give_back(request)
                continue  # somebody computes the same right now: it will be there in the next step
            count = self._count(request, left, chunks)
            if not count or not self._reserve(request, count, set(), preempt=False):
                self._give_back(request)
                break
            self.waiting.remove(request)
            self.running[request] = None
            being_computed.update(ahead)
            chunks.append((request, count))
            left -= count
        return chunks

    def remove(self, request: Request) -> None:
        """Forget a request that is finished or cancelled; its memory is free at once."""
        if request in self.running:
            del self.running[request]
        elif request in self.waiting:
            self.waiting.remove(request)
        self._give_back(request)

    def park(self, request: Request) -> None:
        """Let a request wait for what is not in its own hands; its pages stay until others need them."""
        del self.running[request]
        self._give_back(request)

    def _count(self, request: Request, left: int, chunks: list[tuple[Request, int]]) -> int:
        """Return how many positions fit in what is left beside `chunks`, so that no picture is cut.

        One larger than that has a step without other prompts, though beside those who write: there may always be some.
        """
        alone = all(count == 1 for _, count in chunks)
        context, end = request.context, min(len(request.context), request.computed + max(0, left))
        if end < len(context) and context.first[end] < end:
            end = context.first[end]
            if end <= request.computed:
                end = context.last[request.computed] + 1 if alone else request.computed
        return end - request.computed

    def _reserve(self, request: Request, count: int, in_step: set[Request], preempt: bool = True) -> bool:
        need = -(-(request.computed + count) // PAGE) - len(request.pages)
        while need > self.pool.free:
            victims = [r for r in self.running if r is not request and r not in in_step and r.pages] if preempt else []
            if not victims:
                return False
            victim = max(victims, key=lambda r: r.started)  # the youngest has the least to lose
            del self.running[victim]
            self._give_back(victim)
            self.waiting.appendleft(victim)
        for _ in range(need):
            page = self.pool.take()
            assert page is not None
            request.pages.append(page)
        return True

    def _share(self, request: Request) -> None:
        """Take over whole pages that somebody has computed; at least the last position is left to compute."""
        if request.computed:
            return
        for index in range((len(request.context) - 1) // PAGE):
            page = self.pool.find(request.context.page_key(index))
            if page is None:
                break
            request.pages.append(page)
        request.computed = len(request.pages) * PAGE
        first = request.context.first
        while self.encoded and request.computed and first[request.computed] < request.computed:
            self.pool.release(request.pages.pop())
            request.computed -= PAGE
        if not request.written:
            request.cached_tokens = min(request.computed, request.prompt_tokens)

    def _give_back(self, request: Request) -> None:
        for page in reversed(request.pages):
            self.pool.release(page)
        request.pages.clear()
        request.computed = 0


def _keys_ahead(request: Request) -> list[bytes]:
    """Return the key of the next whole page to compute, if there is one."""
    index = request.computed // PAGE
    whole = (index + 1) * PAGE <= len(request.context) - 1
    return [request.context.page_key(index)] if whole else []
