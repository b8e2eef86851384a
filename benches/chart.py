"""Draws docs/benchmarks.svg: the best in-memory time of each query on each engine, on a log scale.

`python benches/chart.py bench-results/tpch.json chart.png` redraws it; the file extension selects the format.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

COLOURS = {
    "parallax_warm": "#d1495b",
    "datafusion_memory": "#30638e",
    "duckdb_memory": "#edae49",
    "polars_memory": "#7a9e7e",
}


def draw(results, path):
    """Draws one panel for each half of TPC-H and one for the small queries."""
    # The same figures give an identical file.
    matplotlib.rcParams["svg.hashsalt"] = "parallax"
    tpch = [query for query in results["queries"] if query["tpch"]]
    small = [query for query in results["queries"] if not query["tpch"]]
    panels = [tpch[: len(tpch) // 2], tpch[len(tpch) // 2 :], small]
    labels = {engine["key"]: engine["label"] for engine in results["engines"]}
    engines = [key for key in COLOURS if key in labels]
    figure, axes = pyplot.subplots(len(panels), figsize=(12, 11), layout="constrained")
    for axis, queries in zip(axes, panels):
        panel(axis, queries, engines, labels)
    axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1.02), ncols=len(engines), frameon=False)
    threads, scale = results["threads"], results["scale"]
    figure.suptitle(f"In memory, best of {results['runs']} runs: TPC-H scale factor {scale:g}, {threads} threads")
    figure.savefig(path, metadata={"Date": None} if str(path).endswith("svg") else None)


def panel(axis, queries, engines, labels):
    """Bars side by side for each query, with the ms on top."""
    width = 0.8 / len(engines)
    low, top = 1.0, 1.0
    for index, engine in enumerate(engines):
        offset = (index - (len(engines) - 1) / 2) * width
        for position, query in enumerate(queries):
            time = query["engines"].get(engine, {}).get("best_ms")
            if time is None:
                axis.text(position + offset, 1.1, "-", ha="center", va="bottom", fontsize=8)
                continue
            low, top = min(low, time / 2), max(top, time)
            axis.bar(
                position + offset, time, width, color=COLOURS[engine], label=labels[engine] if position == 0 else None
            )
            number = f"{time:.1f}" if time < 10 else f"{time:.0f}"
            axis.text(position + offset, time * 1.1, number, ha="center", va="bottom", fontsize=6.5, rotation=90)
    axis.set_yscale("log")
    # Bars start at 1 ms or less, and the numbers need room above the longest bar.
    axis.set_ylim(low, top * 5)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_ylabel("ms (log)")
    axis.set_xticks(range(len(queries)), [query["query"].replace(" by ", " by\n") for query in queries], fontsize=9)
    axis.set_xlim(-0.6, len(queries) - 0.4)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
