"""Resumable, verified file transfers between Airflow workers and Alibaba Cloud OSS.

The map of the package. A layer imports only from layers below it::

    operators/ sensors/ triggers/ links/   the classes that a DAG author uses
    filesystem/                            oss:// for fsspec and Airflow's ObjectStoragePath
    policies/                              the retry policy for tasks
    hooks/                                 one Airflow connection, wired to the engine
    sets/                                  many files as one transfer: plan, batches, verdict
    transfer/                              moves one file or object, with threads and local files
    checkpoints/                           one class for each checkpoint store
    oss/                                   the OSS REST protocol on requests and tenacity
    assets/                                oss:// assets for Airflow's scheduling
    model/                                 pure values and decisions: parts, checkpoints, CRC-64
    errors/                                every exception

Besides these: ``resumable`` has the engine as functions, for use without Airflow; ``local_oss`` is an OSS server on
loopback, for tests of your own DAGs; ``_airflow/`` is the only package that depends on Airflow's version.
"""

from __future__ import annotations

__version__ = "1.0.0rc1"
