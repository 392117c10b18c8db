"""An OSS server on this machine, for tests and demos::

    from airflow_provider_ossresume.local_oss import Fault, LocalOSS

    with LocalOSS(buckets=["bucket"]) as oss:
        oss.put("bucket", "key", b"bytes")
        oss.fail("UploadPart", nth=3, fault=Fault("answer-lost"))
        ...  # drive a client against oss.endpoint with oss.access_key_id and oss.access_key_secret
        assert oss.object("bucket", "key") == b"bytes"
        assert [request.operation for request in oss.requests] == ["GetObject"]

It checks signatures, enforces OSS's rules and answers with OSS's errors. From a shell:
``python -m airflow_provider_ossresume.local_oss``. In pytest: ``fixtures``.

``listener`` accepts a connection (``tls`` makes the certificate). A request passes ``incoming`` (head and body),
``exchange`` (from head to journal), ``authentication`` and ``operations`` (which operation it is). The work is done in
``objects``, ``copies``, ``deletions``, ``versions``, ``tagging``, ``symlinks``, ``restoring``, ``uploads``,
``listings`` or ``buckets``, on ``storage``. The result is an ``answers.Answer``. ``faults`` defines what goes wrong,
``fault_rules`` chooses the calls, and ``body_faults`` injects it.
"""

from __future__ import annotations

from airflow_provider_ossresume.local_oss.faults import Fault, Rule
from airflow_provider_ossresume.local_oss.journal import Request
from airflow_provider_ossresume.local_oss.server import LocalOSS

__all__ = ["Fault", "LocalOSS", "Request", "Rule"]
