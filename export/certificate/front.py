"""Where a file stands between silence and all its additions: energy against their share, beside ReLU, as a drawing."""

from __future__ import annotations

from ..costs.energy import Energy

WIDTH, HEIGHT = 360.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 10.0, 340.0, 20.0, 170.0  # of what is drawn: additions from none to all, joules from 0
ROOM = 1.1  # above the highest point
POINT = 5.0


def front(found: Energy) -> str:
    """An SVG: a dot for the file, dashes at what the same layers with ReLU take, and between them what more or fewer
    additions would take; nothing where spikes meet no weights."""
    slope = _slope(found)
    if slope is None:
        return ""
    ends = [found.event_driven - slope * found.share, found.event_driven + slope * (1 - found.share)]
    highest = ROOM * max(*ends, found.relu)
    first, last, relu, own = (_height(joules, highest) for joules in (*ends, found.relu, found.event_driven))
    own_x = LEFT + found.share * (RIGHT - LEFT)
    label_y = relu - 6 if relu - TOP > 12 else relu + 14
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" height="{HEIGHT:g}" fill="currentColor" '
        f'stroke="currentColor" font-size="12"><title>Energy against the share of additions</title>'
        f'<path d="M{LEFT:g} {TOP:g}V{BOTTOM:g}H{RIGHT:g}" fill="none" opacity=".5"/>'
        f'<path d="M{LEFT:g} {first:.1f}L{RIGHT:g} {last:.1f}" fill="none"/>'
        f'<path d="M{LEFT:g} {relu:.1f}H{RIGHT:g}" fill="none" stroke-dasharray="4 3"/>'
        f'<circle cx="{own_x:.1f}" cy="{own:.1f}" r="{POINT:g}"/>'
        f'<g stroke="none"><text x="{LEFT + 6:g}" y="{label_y:.1f}">ReLU, dense</text>'
        f'<text x="{own_x + 8:.1f}" y="{own + 14:.1f}">this file, {found.share:.0%}</text>'
        f'<text x="{LEFT:g}" y="{HEIGHT - 12:g}">no additions</text>'
        f'<text x="{RIGHT:g}" y="{HEIGHT - 12:g}" text-anchor="end">all of them</text></g></svg>'
    )


def _slope(found: Energy) -> float | None:
    """Joules from no additions to all of them."""
    if found.break_even in (0.0, found.share):
        return None
    return (found.relu - found.event_driven) / (found.break_even - found.share)


def _height(joules: float, highest: float) -> float:
    return BOTTOM - joules / highest * (BOTTOM - TOP)
