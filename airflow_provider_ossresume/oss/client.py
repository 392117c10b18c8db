"""The client of OSS: every operation that transfers, hooks and sensors need.

::

    OssClient                  presigned URLs, and all operations of
    ├── ObjectOperations       write, read, describe, copy and delete objects
    ├── MultipartOperations    initiate, upload parts, complete, abort
    └── BucketOperations       list objects, describe, create and delete buckets
        └── BaseClient         sends each call: signs it, retries it, returns a value or raises an error
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import Duration
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.bucket_operations import BucketOperations
from airflow_provider_ossresume.oss.call import version_query
from airflow_provider_ossresume.oss.multipart_operations import MultipartOperations
from airflow_provider_ossresume.oss.object_operations import ObjectOperations
from airflow_provider_ossresume.oss.signer import check_expiry
from airflow_provider_ossresume.oss.signing import Signable


class OssClient(ObjectOperations, MultipartOperations, BucketOperations):
    """A client for one endpoint and one set of credentials. Many threads may use it.

    :param region: needed for V4 signatures; see :func:`~airflow_provider_ossresume.oss.endpoint.check_region`
    :param retry: how often and how long a request is tried; by default 8 attempts within 300 seconds
    :param connect_timeout: seconds to make a connection
    :param read_timeout: seconds without a byte, or to send 256 KiB, after which an attempt fails
    :param stall_timeout: seconds within which 64 KiB of a body, or all headers of a response, must move
    :param max_connections: how many connections are kept open: the number of threads that use the client
    :param proxies: as in requests, checked here; None uses HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment
    :param verify_tls: False, or the path of a CA bundle; True uses REQUESTS_CA_BUNDLE or the built-in bundle
    :param clock: returns seconds since 1970
    :raises ArgumentError: for a value that cannot be used
    """

    def presigned_url(
        self, method: str, target: ObjectRef, *, expires: Duration, query: Mapping[str, str] | None = None
    ) -> str:
        """Return a URL that allows anyone who has it to do one thing until it expires. Treat it as a secret.

        :raises ArgumentError: for a method other than GET, HEAD, PUT or DELETE, or an expiry that OSS refuses
        """
        if str(method).upper() not in ("GET", "HEAD", "PUT", "DELETE"):
            raise ArgumentError("method", method, "choose one of GET, HEAD, PUT or DELETE")
        seconds = check_expiry(expires, self._signature_version)
        resource = Signable(method.upper(), target.bucket, target.key, {**version_query(target), **(query or {})})
        plain = self.endpoint.url(target.bucket, target.key, resource.query)
        if (credentials := self._credentials.get()) is None:
            return plain
        return self.endpoint.url(target.bucket, target.key, self._signer(credentials).query(resource, expires=seconds))
