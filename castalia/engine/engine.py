"""The engine: prompts in, replies out. The only thing that makes tokens."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from castalia.actions.action import Branches
from castalia.document import Call, Document
from castalia.engine.context import PAGE, Context
from castalia.engine.fused import FusedStep, can_fuse
from castalia.engine.paged import PagedCache, lay_out
from castalia.engine.pages import PagePool
from castalia.engine.reading import Reader
from castalia.engine.request import Actor, Budget, Reply, Request, Sampling, Stopped
from castalia.engine.sampler import sample
from castalia.engine.scheduler import Scheduler
from castalia.errors import EngineError
from castalia.model.decoder import Decoder, ModelInput
from castalia.perception.perceive import Perception


class Event(NamedTuple):
    """Something happened to `request`: it wrote `token`, perceived `observation`, or is done and has a `reply`."""

    request: Request
    token: int | None = None
    observation: Document | None = None
    reply: Reply | None = None


class Engine:
    """Generates replies of one model, many at once. The weights are used as they are: train and generate in turn.

    `memory` is how many bytes of keys and values are kept; `positions` how many positions one step computes at most.
    """

    def __init__(
        self, model: Decoder, perception: Perception, *, memory: int = 256 << 20, positions: int = 1024
    ) -> None:
        self.model, self.perception = model, perception
        parameter = next(model.parameters())
        self.device, config = parameter.device, model.config
        one = 2 * config.layers * config.key_value_heads * config.head_dim * parameter.element_size() * PAGE
        self.pool = PagePool(config, max(1, memory // one), self.device, parameter.dtype)
        self.scheduler = Scheduler(self.pool, positions, encoded=model.vision is not None)
        self.reader = Reader(perception)
        self.parked: list[Request] = []
        self.patience = 0.05
        """Seconds that a step waits for actions where there is nothing else to do."""
        self._parameters = list(model.parameters())
        self.fused: FusedStep | None = None
        self._weights: tuple[int, ...] = ()

    def generate(
        self,
        prompts: list[Document],
        sampling: Sampling | None = None,
        budget: Budget | None = None,
        actors: list[Actor | None] | None = None,
    ) -> list[Reply]:
        """Return `sampling.n` replies to each prompt, in order.

        `actors[i]` carries out what reply i writes as calls.
        """
        return [
            reply
            for _, reply in sorted(
                (event.request.index, event.reply)
                for event in self.stream(prompts, sampling, budget, actors)
                if event.reply is not None and not event.request.depth
            )
        ]

    def stream(
        self,
        prompts: list[Document],
        sampling: Sampling | None = None,
        budget: Budget | None = None,
        actors: list[Actor | None] | None = None,
    ) -> Iterator[Event]:
        """Yield what happens to every prompt's request, and to its agents', until all are done.

        A caller that stops early cancels what is left.
        """
        asked = [prompt for prompt in prompts for _ in range(sampling.n if sampling else 1)]
        requests: list[Request] = []
        try:
            for index, (prompt, actor) in enumerate(zip(asked, actors or [None] * len(asked), strict=True)):
                requests.append(self.submit(prompt, sampling, budget, actor, index))
            while any(request.stopped is None for request in requests):
                yield from self.step()
        finally:
            for request in requests:
                self.cancel(request)

    def submit(
        self,
        prompt: Document,
        sampling: Sampling | None = None,
        budget: Budget | None = None,
        actor: Actor | None = None,
        index: int = 0,
    ) -> Request:
        """Take in one prompt for one reply; `step` works on it. Raises EngineError if it cannot fit the cache."""
        return self.admit(self.prepare(prompt, sampling, budget, actor, index))

    def prepare(
        self,
        prompt: Document,
        sampling: Sampling | None = None,
        budget: Budget | None = None,
        actor: Actor | None = None,
        index: int = 0,
    ) -> Request:
        """Perceive one prompt, in whatever thread, to be admitted. Raises EngineError if it cannot fit the cache."""
        context = Context()
        context.append(self.perception(prompt, reply=True))
        pages = -(-(len(context) + 1) // PAGE)
        if pages > len(self.pool.users):
            room = len(self.pool.users) * PAGE
            raise EngineError(f"a prompt of {len(context)} positions does not fit the cache of {room}")
        return Request(index, context, sampling or Sampling(), budget or Budget(), actor)

    def cancel(self, request: Request) -> Reply | None:
        """Stop a request and its agents at once, free its memory and return what it has written; None if it is done."""
        if request.stopped is not None:
            return None
        self._finish(request, "cancelled")
        return self.reader.reply(request)

    @property
    def only_waits(self) -> bool:
        """Whether there is nothing to compute until an action comes back."""
        return bool(self.parked) and not (self.scheduler.running or self.scheduler.waiting)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.scheduler.running or self.scheduler.waiting or self.parked)

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Compute one batch of positions; return what happened."""
        self._notice_new_weights()
        events = self._resume() + self._out_of_time()
        chunks = self.scheduler.schedule()
        if not chunks:
            return events + self._stuck(events)
        inputs, cache, last_R = lay_out(chunks, self.model.config, self.pool, self.device)
        ready = [row for row, (r, count) in enumerate(chunks) if r.computed + count == len(r.context)]
        logits_RV = self._logits(inputs, last_R[ready], cache)
        # Only now, lest pages be found that hold nothing, if computing was interrupted.
        for request, count in chunks:
            before, request.computed = request.computed // PAGE, request.computed + count
            for page in range(before, request.computed // PAGE):
                if request.context.last[(page + 1) * PAGE - 1] < request.computed:
                    self.pool.know(request.pages[page], request.context, page)
        if ready:
            requests = [chunks[row][0] for row in ready]
            drawn = sample(logits_RV, requests, self.perception.tokenizer.vocab_size, self.perception.special["end"])
            for request, token, logprob, top in zip(requests, *drawn, strict=True):
                if top:
                    request.tops.append(top)
                events += self._write(request, token, logprob)
        return events

    def admit(self, request: Request) -> Request:
        """Take in a request whose context is there already."""
        self.scheduler.waiting.append(request)
        return request

    def _write(self, request: Request, token: int, logprob: float) -> list[Event]:
        """Append a token that was drawn, or the mark that ends the thoughts if their budget is spent."""
        special, budget = self.perception.special, request.budget
        spent = budget.thinking is not None and request.thought >= budget.thinking
        forced = request.in_thought and spent and token != special["/think"]
        if forced:
            token, logprob = special["/think"], 0.0
        state = request.state
        request.context.write(token, logprob, learned=not forced)
        request.run.append(token)
        request.logprobs.append(logprob)
        request.written += 1
        request.thought += request.in_thought
        events = [Event(request, token=token)]
        call = self.reader.advance(request, token)
        if request.grammar and request.grammar.accept(token, state):
            return events + self._finish(request, "end")
        if token == special["end"]:
            return events + self._finish(request, "end")
        if request.sampling.stop and self.reader.meets_stop(request):
            return events + self._finish(request, "stop")
        if request.written >= budget.tokens:
            return events + self._finish(request, "length")
        if call is not None and request.actor is not None:
            events += self._act(request, call)
        return events

    def _act(self, request: Request, call: Call) -> list[Event]:
        assert request.actor is not None
        request.acted += 1
        if request.acted > request.budget.actions:
            return self._finish(request, "length")
        outcome = request.actor.act(call)
        if outcome is None:
            return []
        if isinstance(outcome, Document):
            return self._observe(request, outcome)
        self.scheduler.park(request)
        self.parked.append(request)
        if isinstance(outcome, Branches):
            request.branches = outcome
            for index, brief in enumerate(outcome.briefs):
                context = request.context.fork()
                context.append(self.perception.observation(brief))
                actor, depth, thinks = request.actor.fork(), request.depth + 1, request.calls_in_thought
                budget = Budget(outcome.tokens, seconds=outcome.seconds)
                # What agents find is no answer yet.
                sampling = replace(request.sampling, grammar=None, min_tokens=0, stop=())
                agent = Request(index, context, sampling, budget, actor, depth, began_thinking=thinks)
                agent.asker = request.asker
                request.agents.append(self.admit(agent))
        else:
            request.waiting_for = outcome
        return []

    def _observe(self, request: Request, observation: Document) -> list[Event]:
        request.context.append(self.perception.observation(observation))
        request.parts.append(observation)
        return [Event(request, observation=observation)]

    def _resume(self) -> list[Event]:
        """Let those go on whose action has come back or whose agents are all done."""
        events: list[Event] = []
        for request in self.parked.copy():
            observation = None
            if request.branches is not None and all(agent.stopped for agent in request.agents):
                observation = request.branches.join([self.reader.document(agent) for agent in request.agents])
                request.joined = request.delegated
                request.branches, request.agents = None, []
            elif request.waiting_for is not None and request.waiting_for.done():
                observation, request.waiting_for = request.waiting_for.result(), None
            if observation is not None:
                self.parked.remove(request)
                events += self._observe(request, observation)
                self.admit(request)
        return events

    def _out_of_time(self) -> list[Event]:
        events: list[Event] = []
        for request in [*self.scheduler.running, *self.scheduler.waiting, *self.parked]:
            if request.budget.seconds is not None and request.seconds >= request.budget.seconds:
                events += self._finish(request, "time")
        return events

    def _stuck(self, events: list[Event]) -> list[Event]:
        """Nothing can be computed: wait for actions, or end a request that the cache is too small for."""
        if events:
            return []
        if alive := [*self.scheduler.running, *self.scheduler.waiting]:
            return self._finish(alive[0], "length")
        futures = [request.waiting_for for request in self.parked if request.waiting_for is not None]
        wait(futures, timeout=self.patience, return_when=FIRST_COMPLETED)
        return []

    def _finish(self, request: Request, stopped: Stopped) -> list[Event]:
        if request.stopped is not None:
            return []
        request.stopped = stopped
        for agent in request.agents:
            self.cancel(agent)
        if request in self.parked:
            self.parked.remove(request)
            if request.waiting_for is not None:
                request.waiting_for.cancel()
        else:
            self.scheduler.remove(request)
        return [Event(request, reply=self.reader.reply(request))]

    def _logits(self, inputs: ModelInput, at_M: Tensor, cache: PagedCache) -> Tensor:
        if self.fused is not None:
            return self.fused(inputs, at_M, cache.reach)
        was_training = self.model.training
        self.model.eval()
        logits_MV = self.model(inputs, at_M, cache)
        self.model.train(was_training)
        return logits_MV

    def _notice_new_weights(self) -> None:
        """Forget keys and values of other weights than now: every change in place raises a tensor's version."""
        weights = tuple(parameter._version for parameter in self._parameters)
        if weights != self._weights:
            self.pool.clear()
            self.fused = FusedStep(self.model, self.pool.memory) if can_fuse(self.model, self.pool.memory) else None
            self._weights = weights
