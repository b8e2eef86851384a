"""The Python half of `make bench`: DuckDB and Polars behind a pipe.

benches/tpch starts this file and sends one JSON request per line. Each gets one line in response, `{"error": ...}` if it
failed. Times are measured here, so that they exclude the pipe.

    {"do": "versions"}                                              {"duckdb": "2.0.0", ...}
    {"do": "load", "engine": E, "threads": 2, "tables": {name: path}}   {"seconds": s}
    {"do": "run", "engine": E, "sql": text, "rows": path or null}   {"seconds": s}; `rows` becomes an Arrow IPC file
    {"do": "chart", "results": path, "svg": path}                   {}

Engines: duckdb_memory, duckdb_parquet, polars_memory. The number of threads of Polars is POLARS_MAX_THREADS.
"""

import json
import os
import platform
import sys
import time
from pathlib import Path

import duckdb
import polars
import pyarrow


class Duckdb:
    """A database whose tables are in memory, or views of Parquet files."""

    def __init__(self, kind, threads, tables):
        self.connection = duckdb.connect(":memory:", config={"threads": threads})
        for name, path in tables.items():
            self.connection.execute(f"CREATE {kind} {name} AS SELECT * FROM read_parquet('{path}')")

    def run(self, sql):
        return self.connection.sql(sql).to_arrow_table()

    @staticmethod
    def write(rows, path):
        with pyarrow.ipc.new_file(path, rows.schema) as file:
            file.write_table(rows)


class Polars:
    """Frames in memory behind Polars' own SQL, run by its streaming engine, which is the faster one here."""

    def __init__(self, tables):
        frames = {name: polars.read_parquet(path) for name, path in tables.items()}
        self.context = polars.SQLContext(frames)

    def run(self, sql):
        return self.context.execute(sql).collect(engine="streaming")

    @staticmethod
    def write(rows, path):
        rows.write_ipc(path)


ENGINES = {
    "duckdb_memory": lambda threads, tables: Duckdb("TABLE", threads, tables),
    "duckdb_parquet": lambda threads, tables: Duckdb("VIEW", threads, tables),
    "polars_memory": lambda threads, tables: Polars(tables),
}
loaded = {}


def versions():
    modules = {module.__name__: module.__version__ for module in (duckdb, polars, pyarrow)}
    return {"python": platform.python_version(), **modules}


def load(engine, threads, tables):
    start = time.perf_counter()
    loaded[engine] = ENGINES[engine](threads, tables)
    return {"seconds": time.perf_counter() - start}


def run(engine, sql, rows):
    start = time.perf_counter()
    result = loaded[engine].run(sql)
    seconds = time.perf_counter() - start
    if rows:
        loaded[engine].write(result, rows)
    return {"seconds": seconds}


def chart(results, svg):
    # Imported here because it is slow and only this request needs it.
    from chart import draw

    draw(json.loads(Path(results).read_text()), svg)
    return {}


def main():
    # Output of libraries must not be mixed with the responses.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    actions = {"versions": versions, "load": load, "run": run, "chart": chart}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request.pop("do")](**request)
        # Panics of Polars do not derive from Exception.
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
