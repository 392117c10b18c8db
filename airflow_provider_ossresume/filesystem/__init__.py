"""``oss://`` for fsspec, and by it for Airflow's ``ObjectStoragePath``.

``oss`` is what Airflow and users import. ``paths`` reads names, ``connecting`` makes the client of storage options,
``listing`` knows directories, ``reading`` and ``writing`` are open files, ``moving`` copies and transfers whole files,
``deleting`` deletes, and ``file_system`` puts them together. None of it needs Airflow, but for a connection.
"""
