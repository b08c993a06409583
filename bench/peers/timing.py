"""Times of contenders, in turn: A B C A B C. On a GPU the launches of a region are captured in a CUDA graph, so that
the host's time is not in them; what cannot be captured is launched many times between two events, and says so."""

import statistics
import time
import warnings

import torch

REGIONS_A_ROUND = 4
MOST_NODES = 64


class Contender:
    """`calls`: the same launch on each set of operands."""

    def __init__(self, name, calls):
        self.name, self.calls = name, calls
        self.samples, self.refusal, self.replays, self.graph, self.no_graph = [], None, 1, None, ""
        self.cuda = torch.cuda.is_available()
        self.nodes = len(calls)

    def prepare(self, region_s):
        """Warms up, captures, and makes a region last about so long."""
        for _ in range(3):
            for call in self.calls:
                call()
        self.synchronize()
        launch_s = max(self.region() / self.launches(), 1e-8)
        if self.cuda:
            wanted = min(max(1, round(region_s / launch_s)), MOST_NODES)
            self.nodes = -(-wanted // len(self.calls)) * len(self.calls)
            self.capture()
            launch_s = max(self.region() / self.launches(), 1e-8)
        self.replays = max(1, round(region_s / launch_s / self.nodes))
        self.region()  # as long as those that count

    def capture(self):
        """Of the current stream. Leaves graph None, with the reason, where the work cannot be captured."""
        graph = torch.cuda.CUDAGraph()
        self.synchronize()
        try:
            graph.capture_begin()
            try:
                self.run_once()
            finally:
                graph.capture_end()
            graph.replay()
            self.synchronize()
            self.graph = graph
        except RuntimeError as error:
            self.no_graph = reason_of(error)

    def run_once(self):
        for i in range(self.nodes):
            self.calls[i % len(self.calls)]()

    def launches(self):
        return self.nodes * self.replays

    def synchronize(self):
        if self.cuda:
            torch.cuda.synchronize()

    def region(self):
        """Seconds."""
        work = self.graph.replay if self.graph else self.run_once
        if not self.cuda:
            begin = time.perf_counter()
            for _ in range(self.replays):
                work()
            return time.perf_counter() - begin
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(self.replays):
            work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3

    def result(self):
        if self.refusal:
            return {"contender": self.name, "refuses": self.refusal}
        samples = sorted(self.samples)
        tenths = statistics.quantiles(samples, n=10, method="inclusive") if len(samples) > 1 else samples * 9
        method = "graph" if self.graph else "events" if self.cuda else "clock"
        result = {
            "contender": self.name,
            "median_us": statistics.median(samples),
            "p10_us": tenths[0],
            "p90_us": tenths[8],
            "samples": len(samples),
            "launches_a_sample": self.launches(),
            "method": method,
        }
        if self.cuda and not self.graph:
            result["why_no_graph"] = self.no_graph
        return result


def reason_of(error, warned=()):
    """In one line: of an error, and of what PyTorch has warned of before it."""
    words = str(error).strip().splitlines()[:1] + [
        str(w.message).splitlines()[0].split(" (Triggered")[0] for w in warned
    ]
    return f"{type(error).__name__}: {'; '.join(dict.fromkeys(words))}"[:600]


def measure(makers, min_time, rounds):
    """makers: name -> function that gives `calls`. Those that throw are written down with the reason."""
    contenders = []
    for name, make in makers.items():
        contender = Contender(name, [None])
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                contender = Contender(name, make())
                contender.prepare(min_time / rounds / REGIONS_A_ROUND)
            except Exception as error:  # a peer that cannot do this work is a result, whatever it throws
                contender.refusal = reason_of(error, warned)
        contenders.append(contender)
    for _ in range(rounds):
        for contender in contenders:
            for _ in range(0 if contender.refusal else REGIONS_A_ROUND):
                contender.samples.append(contender.region() / contender.launches() * 1e6)
    return [contender.result() for contender in contenders]
