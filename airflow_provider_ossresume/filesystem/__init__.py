"""``oss://`` for fsspec, and through it for Airflow's ``ObjectStoragePath``.

Airflow and users import ``oss``. The class is built in five steps, each a subclass of the one before:

- ``base``: options and client
- ``metadata``: info, listings, searches
- ``contents``: bytes and open files
- ``put_get_copy``: whole files and folders
- ``file_system``: deletions and moves

They use ``listings`` (directories and their cache), ``range_reads``, ``reader`` and ``writer`` (bytes),
``file_transfers`` and ``bulk`` (one file, many files) and ``deletions``. None of it needs Airflow, except to read a
connection.
"""
