"""Figures for people: with a unit, to three digits."""

from __future__ import annotations

import math


def seconds(value: float) -> str:
    """A duration with the unit that suits it."""
    if value == 0:
        return "0 s"
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(value) >= factor:
            number = value / factor
            digits = 0 if abs(number) >= 1000 else max(0, 2 - int(math.floor(math.log10(abs(number)))))
            return f"{number:,.{digits}f} {unit}"
    return f"{value * 1e9:.0f} ns"


def amount(value: float) -> str:
    """A number of bytes."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def show(metric: str, value: float) -> str:
    """A figure with its unit."""
    if metric.endswith("_s"):
        return ("-" if value < 0 else "") + seconds(abs(value)) if metric != "held_slot_s" else f"{value:.6g} slot·s"
    return amount(value) if metric == "bytes_moved" else f"{value:.6g}"


def short(metric: str, value: float) -> str:
    """A figure with its unit, to three digits."""
    if metric.endswith("_s") and metric != "held_slot_s" or metric == "bytes_moved":
        return show(metric, value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
