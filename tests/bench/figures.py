"""What was measured: samples of figures by candidate, and what is told of them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One thing that is measured, and its unit."""

    cell: str
    name: str
    unit: str


@dataclass(frozen=True)
class Summary:
    """What several samples of one figure come to."""

    median: float
    low: float
    high: float
    count: int


def summary(samples: Sequence[float]) -> Summary:
    """Median, least and greatest of at least one sample; raises ValueError for none."""
    if not samples:
        raise ValueError("a figure without samples has no summary")
    return Summary(statistics.median(samples), min(samples), max(samples), len(samples))


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that this share (0 to 1) of them do not exceed; raises ValueError for none."""
    if not samples:
        raise ValueError("no samples have no percentile")
    ordered = sorted(samples)
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[min(rank, len(ordered)) - 1]


@dataclass
class Results:
    """All samples of a run, figures and candidates in the order in which they came."""

    samples: dict[Figure, dict[str, list[float]]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    """What a reader of the figures must know: candidates that failed, in words."""

    def add(self, figure: Figure, candidate: str, value: float) -> None:
        """One more sample."""
        self.samples.setdefault(figure, {}).setdefault(candidate, []).append(value)

    def trouble(self, text: str) -> None:
        """Keep what went wrong, each only once."""
        if text not in self.troubles:
            self.troubles.append(text)

    def candidates(self) -> list[str]:
        """Everyone who has at least one sample."""
        return list(dict.fromkeys(name for taken in self.samples.values() for name in taken))

    def summaries(self) -> Iterator[tuple[Figure, dict[str, Summary]]]:
        """Each figure with what its samples come to."""
        for figure, taken in self.samples.items():
            yield figure, {name: summary(values) for name, values in taken.items()}
