"""Forecasts, plans and multipliers as tables for the terminal."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from castalia.evals.sheets import Sheet
from castalia.forecast.devices import Cluster
from castalia.forecast.forecast import Check, Forecast
from castalia.forecast.multiplier import Multiplier
from castalia.forecast.plan import FAR, Plan
from castalia.forecast.predict import ACCURACY, LOSS

NOTHING = "no small run answers better than by guessing, so that nothing is foretold"


def forecast_sheet(forecasts: Sequence[Forecast], checks: Mapping[str, Check] | None = None) -> Sheet:
    """Return the table of forecasts, each with its interval, and, where there are `checks`, with what was measured."""
    target = next((check.expected for check in (checks or {}).values()), forecasts[0].targets[0])
    columns = ("", "expected", f"{forecasts[0].share:.0%} interval", *(("measured", "error") if checks else ()))
    rows = []
    for forecast in forecasts:
        check = (checks or {}).get(forecast.of)
        at = check.expected if check else forecast.targets[0]
        write = "{:.0%}".format if forecast.in_points else "{:.4f}".format
        cells = [forecast.of, write(at.value), f"{write(at.low)} to {write(at.high)}"]
        if check:
            unit = " points" if forecast.in_points else " %"
            cells += [write(check.measured), f"{check.error:+.1f}{unit}{'' if check.inside else ', outside'}"]
        rows.append([*cells, "", ""][: len(columns)])
    return Sheet(f"forecast at {target.x:.3g} {forecasts[0].along}, written {forecasts[0].written}", columns, rows)


def unforetold(forecasts: Sequence[Forecast]) -> str:
    """Return a sentence that names the families whose accuracy is not foretold; "" if there are none."""
    names = {forecast.of for forecast in forecasts}
    families = [name.removeprefix(f"{LOSS} ") for name in sorted(names) if name.startswith(f"{LOSS} ")]
    missing = [family for family in families if f"{ACCURACY} {family}" not in names]
    if not missing:
        return ""
    return f"{NOTHING}: {', '.join(missing)}"


def plan_table(made: Plan, cluster: Cluster) -> Table:
    """Return what to train, what it takes, and what is expected of it."""
    table = Table(title=f"plan for {made.flops:.3g} FLOPs", title_justify="left", show_header=False)
    model, feed = made.recipe.model, made.recipe.feed
    size = made.parameters
    rows = {
        "parameters": f"{_short(size.value)} ({_short(size.low)} to {_short(size.high)} may be as good)",
        "model": f"width {model.width}, {model.layers} layers, {model.heads} heads",
        "positions": f"{_short(made.positions)}, {made.positions / size.value:.0f} a parameter",
        "batch": f"{feed.rows} rows of {feed.length}, {made.recipe.training.steps:,} steps",
        "loss": f"{made.loss.value:.4f} ({made.loss.low:.4f} to {made.loss.high:.4f})",
        "right": NOTHING if made.accuracy is None else f"{made.accuracy:.1%} on average",
    }
    rows |= {f"  {name}": f"{e.value:.1%} ({e.low:.1%} to {e.high:.1%})" for name, e in made.accuracies.items()}
    if made.accuracies and made.unforetold:
        rows["  not foretold"] = f"{', '.join(made.unforetold)}: answered by no small run better than by guessing"
    of = f"{cluster.count} × {cluster.name}" if cluster.count > 1 else cluster.name
    speed = f"{cluster.mfu:.0%} of {cluster.device.flops:.3g} FLOPs a second each"
    room = "" if made.memory <= cluster.device.memory else ", more than it has"
    rows |= {
        "time": f"{duration(made.hours)} on {of} at {speed}",
        "memory": f"{made.memory / 1e9:.2g} GB a device of {cluster.device.memory / 1e9:.0f}{room}",
    }
    if made.dollars is not None:
        rows["cost"] = f"${made.dollars:,.2f}"
    if made.beyond > FAR:
        rows["beware"] = f"{made.beyond:.2g} times the compute of the largest run it is foretold from: climb higher"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def multiplier_table(rows: Mapping[str, Sequence[Multiplier]], ours: str, other: str) -> Table:
    """Return how many times the compute the other recipe, and each part alone, needs at every accuracy."""
    table = Table(title=f"times the compute of {ours}", title_justify="left")
    for name in ("", "right", ours, "needs", "times", "90% interval"):
        table.add_column(name, justify="right" if name else "left")
    for name, its in rows.items():
        label = name if name == other else f"{name} of {other}"
        if not its:
            table.add_row(label, "", "", "", "nothing to compare", "")
        for number, one in enumerate(its):
            cells = (f"{one.accuracy:.1%}", f"{one.flops:.3g}", f"{one.other_flops:.3g}", f"{one.value:.2f}")
            table.add_row("" if number else label, *cells, f"{one.low:.2f} to {one.high:.2f}")
    return table


def duration(hours: float) -> str:
    """Return a time as people say it: 42 s, 12 min, 3.5 h, 2.1 days, 3 years."""
    for unit, size in (("years", 8766), ("days", 48), ("h", 2), ("min", 1 / 30)):
        if hours >= size:
            return f"{hours / {'years': 8766, 'days': 24, 'h': 1, 'min': 1 / 60}[unit]:,.3g} {unit}"
    return f"{hours * 3600:.2g} s"


def _short(number: float) -> str:
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
