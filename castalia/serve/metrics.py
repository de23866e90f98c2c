"""What the server counts, for Prometheus at `/metrics`."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from castalia.serve.service.usage import Usage

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server; nothing is shared between servers of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "castalia_requests", "Requests answered", ["endpoint", "status"], registry=self.registry
        )
        self.tokens = Counter("castalia_tokens", "Tokens read, found in the cache, written, thought", ["kind"],
                              registry=self.registry)  # fmt: skip
        self.active = Gauge("castalia_active_requests", "Requests being answered", registry=self.registry)
        self.first = Histogram("castalia_first_piece_seconds", "Seconds to the first piece of an answer",
                               buckets=SECONDS, registry=self.registry)  # fmt: skip
        self.seconds = Histogram("castalia_request_seconds", "Seconds to the end of an answer", ["endpoint"],
                                 buckets=SECONDS, registry=self.registry)  # fmt: skip

    def watch(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        """Read these whenever the metrics are."""
        for name, (about, read) in gauges.items():
            Gauge(name, about, registry=self.registry).set_function(read)

    def count(self, usage: Usage) -> None:
        """Count what one request has cost."""
        for kind in ("prompt", "cached", "completion", "reasoning"):
            self.tokens.labels(kind).inc(getattr(usage, kind))

    def text(self) -> bytes:
        """Return all in Prometheus' text format."""
        return generate_latest(self.registry)
