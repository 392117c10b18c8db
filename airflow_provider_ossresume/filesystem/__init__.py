"""``oss://`` for fsspec, and by it for Airflow's ``ObjectStoragePath``.

``oss`` is what Airflow and users import. The class grows by rows, each with what the next one needs: ``connected``
(options and client), ``finding`` (what is there), ``opening`` (bytes and open files), ``transferring`` (whole files)
and ``file_system`` (deletions and moves). Below them ``listing`` knows directories, ``fetching``, ``reading`` and
``writing`` the bytes, ``moving`` and ``together`` files, and ``deleting`` what may be deleted. None of it needs
Airflow, but for a connection.
"""
