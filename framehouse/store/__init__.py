"""The analytics database: DuckDB, made from the lake, published as snapshots that never change.

Anyone may read with plain DuckDB, from a process of their own::

    import duckdb
    from framehouse.store.snapshots import current_snapshot

    con = duckdb.connect(current_snapshot("/path/to/.framehouse/store"), read_only=True)

A snapshot keeps its rows while it is open; connect again to see newer ones. Do not do this inside the loader's process,
nor in a process that also calls `run_query`: DuckDB's file lock belongs to the whole process.
"""
