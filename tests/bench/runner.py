"""What all cells share: the upstream, the candidates that answer, the repeats, and where samples go."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import machine
from tests.bench.candidates.base import MODELS, Candidate, Place, Service
from tests.bench.figures import Figure, Results
from tests.bench.load import Generator, Load
from tests.bench.processes import NotStarted, Program, free_port, start, wait_for_port

READY_S = 60


@dataclass
class Bench:
    """A run: its extent, its tools, its candidates, its results."""

    native: Path
    scratch: Path
    prefix: Path
    candidates: Sequence[Candidate]
    repeats: int
    quick: bool
    say: Callable[[str], None]
    results: Results = field(default_factory=Results)
    foreign: dict[str, float] = field(default_factory=dict)
    """How much of the machine others used, by cell."""

    def __post_init__(self) -> None:
        self._stack = ExitStack()
        self._services: dict[str, Service] = {}
        self._helpers: list[Program] = []
        self._upstream: int | None = None
        self._folders = 0
        self.generator = Generator(self.native / "load", patience_s=10 if self.quick else 25)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def extent(self, full: float, quick: float) -> float:
        """How long or how many: what a full run takes, or a quick one."""
        return quick if self.quick else full

    def add(self, cell: str, name: str, unit: str, candidate: str, value: float | None) -> None:
        """Keep a sample; nothing is kept of what could not be measured."""
        if value is not None:
            self.results.add(Figure(cell, name, unit), candidate, value)

    def folder(self, name: str) -> Path:
        """A new folder that lives as long as the run."""
        self._folders += 1
        return self.scratch / f"{self._folders}-{name.replace(' ', '')}"

    def run(self, command: Sequence[str | Path], name: str, port: int) -> Program:
        """A helper program that listens there; it ends with the run."""
        program = start(command, self.folder(name))
        self._stack.callback(program.stop)
        self._helpers.append(program)
        wait_for_port(program, port, READY_S)
        return program

    def new_upstream(self, entries: int = 400) -> int:
        """The port of an upstream with so many models in its catalogue."""
        port = free_port()
        words = ["-p", str(port), "-n", str(entries), "-m", ",".join(MODELS)]
        self.run([self.native / "upstream", *words], "upstream", port)
        return port

    @property
    def upstream(self) -> int:
        """The port of the upstream that all candidates share."""
        if self._upstream is None:
            self._upstream = self.new_upstream()
        return self._upstream

    def place(self, name: str) -> Place:
        """A new place for a candidate."""
        return Place(self.folder(name), self.upstream, self.prefix)

    @contextmanager
    def serving(self, service: Service, warm: int = 200) -> Iterator[Service]:
        """A service for as long as the block, after so many calls from its beginning; raises NotStarted."""
        try:
            if service.program:
                wait_for_port(service.program, service.port, READY_S)
                self.warm(service, warm)
            yield service
        finally:
            service.stop()

    def warm(self, service: Service, calls: int = 200) -> None:
        """Make it answer a few calls; raises NotStarted when it answers none."""
        load = self.generator.run(service, "fake/d0", calls=20 if self.quick else calls)
        if not load.ok:
            assert service.program is not None
            tail = service.program.log.read_text(errors="replace")[-400:].strip()
            raise NotStarted(f"no call is answered ({load.raw['codes']}): {tail}")

    def services(self) -> dict[str, Service]:
        """Every candidate that can be started, started and warm; they stay up until the run ends."""
        for candidate in self.candidates:
            if candidate.name not in self._services:
                self._start(candidate)
        return {one.name: self._services[one.name] for one in self.candidates if one.name in self._services}

    def rounds(self) -> Iterator[tuple[str, Service]]:
        """Each candidate in turn, again and again: what disturbs the machine for a while disturbs all of them."""
        services = self.services()
        for _ in range(self.repeats):
            yield from services.items()

    def sound(self, what: str, candidate: str, load: Load) -> bool:
        """Whether all calls were answered; else it is told."""
        if load.failed:
            self.results.trouble(
                f"{what}, {candidate}: {load.failed} of {load.ok + load.failed} calls failed or took too long"
            )
        return load.ok > 0

    @contextmanager
    def watched(self, cell: str) -> Iterator[None]:
        """Notes how much of the machine others used in the block."""
        began, before, ours = time.monotonic(), machine.busy(), self._ours_s()
        yield
        self.foreign[cell] = machine.foreign_share(before, machine.busy(), self._ours_s() - ours)
        self.say(f"{cell}: {time.monotonic() - began:.0f} s, others used {self.foreign[cell]:.0%} of the machine")

    def _start(self, candidate: Candidate) -> None:
        service = None
        try:
            service = candidate.start(self.place(candidate.name))
            self._stack.callback(service.stop)
            if service.program:
                wait_for_port(service.program, service.port, READY_S)
            self.warm(service)
        except (NotStarted, OSError, subprocess.SubprocessError) as error:
            self.results.trouble(f"{candidate.name} could not be started: {error}")
            return
        self._services[candidate.name] = service

    def _ours_s(self) -> float:
        running = [service.program for service in self._services.values() if service.program] + self._helpers
        return machine.own_s() + sum(program.cpu_s() for program in running)
