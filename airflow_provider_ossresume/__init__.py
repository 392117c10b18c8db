"""Resumable, verified file transfers between Airflow workers and Alibaba Cloud OSS.

The map of the package, from the top row down; imports run one way only:

    operators/ sensors/ triggers/ links/   what a DAG author writes
    filesystem/                            oss:// for fsspec and Airflow's ObjectStoragePath
    policies/                              when Airflow tries a task again
    hooks/                                 one connection, wired to the engine
    transfer/                              moves bytes: threads and local files live here
    checkpoints/                           one class for each home of a checkpoint
    oss/                                   the OSS REST protocol on requests and tenacity
    assets/                                oss:// assets, as Airflow schedules by them
    model/                                 pure values and decisions: parts, checkpoints, CRC-64
    errors                                 every exception

Beside them: ``resumable`` is the engine's small functional face for use without Airflow, ``local_oss`` an OSS
server on loopback for tests of your own DAGs, and ``_airflow/`` the only package that knows Airflow's versions.
"""

from __future__ import annotations

__version__ = "1.0.0rc1"
