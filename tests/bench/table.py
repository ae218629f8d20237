"""The one table that a run ends with, in Markdown; and the same as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.bench.figures import Results, Summary


def number(value: float) -> str:
    """A figure with three digits that count."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 else f"{value:.3f}"


def told(summary: Summary) -> str:
    """The median and, where the samples differ, the range around it."""
    if summary.low == summary.high:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.low)}–{number(summary.high)})"


def render(results: Results) -> str:
    """One line per figure, one column per candidate; a dash where nothing was measured."""
    names = results.candidates()
    rows = [["", *names]]
    for figure, taken in results.summaries():
        cells = [told(taken[name]) if name in taken else "–" for name in names]
        rows.append(
            [f"{figure.cell}: {figure.name}, {figure.unit}" if figure.unit else f"{figure.cell}: {figure.name}"]
        )
        rows[-1].extend(cells)
    widths = [max(len(row[column]) for row in rows) for column in range(len(names) + 1)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def as_json(results: Results, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Every sample, with the conditions of the run."""
    return {
        "conditions": dict(conditions),
        "troubles": results.troubles,
        "figures": [
            {
                "cell": figure.cell,
                "name": figure.name,
                "unit": figure.unit,
                "candidates": {
                    name: {"median": taken[name].median, "samples": results.samples[figure][name]} for name in taken
                },
            }
            for figure, taken in results.summaries()
        ],
    }
