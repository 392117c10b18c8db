"""An OSS server on this machine, for tests and demos::

    from airflow_provider_ossresume.local_oss import Fault, LocalOSS

    with LocalOSS(buckets=["bucket"]) as oss:
        oss.put("bucket", "key", b"bytes")
        oss.fail("UploadPart", nth=3, fault=Fault("answer-lost"))
        ...  # drive a client against oss.endpoint with oss.access_key_id and oss.access_key_secret
        assert oss.object("bucket", "key") == b"bytes"
        assert [request.operation for request in oss.requests] == ["GetObject"]

It checks signatures, keeps OSS's rules and answers with OSS's errors. From a shell:
``python -m airflow_provider_ossresume.local_oss``. In pytest: ``fixtures``.

A request comes in by a ``listener`` (``tls`` has its certificate) and goes through ``incoming`` (its head and body),
``exchange`` (from head to journal), ``authentication`` and ``operations`` (which one it is). The work is done in
``objects``, ``copies``, ``deletions``, ``versions``, ``tagging``, ``symlinks``, ``restoring``, ``uploads``,
``listings`` or ``buckets``, on ``storage``; what comes back is an ``answers.Answer``. ``faults`` says what goes wrong,
``fault_rules`` with which calls, and ``body_faults`` does it.
"""

from __future__ import annotations

from airflow_provider_ossresume.local_oss.faults import Fault, Rule
from airflow_provider_ossresume.local_oss.journal import Request
from airflow_provider_ossresume.local_oss.server import LocalOSS

__all__ = ["Fault", "LocalOSS", "Request", "Rule"]
