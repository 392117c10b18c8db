"""The hook's methods for buckets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Literal, get_args

from airflow_provider_ossresume.errors import ArgumentError, NoSuchBucket, NoSuchUpload, PartlyFailed
from airflow_provider_ossresume.hooks.cleaning import delete_objects
from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.model.arguments import Flag, check_choice, check_text, parse_flag, refuse_empty
from airflow_provider_ossresume.model.object_names import check_bucket
from airflow_provider_ossresume.model.object_options import StorageClass
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import format_size

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.xml_responses import BucketInfo

log = logging.getLogger(__name__)

BucketAcl = Literal["private", "public-read", "public-read-write"]
Redundancy = Literal["LRS", "ZRS"]

MAX_COUNTED = 1_000  # objects, and uploads, if the bucket will not be deleted


class BucketMethods(ConnectedHook):
    """The methods of the hook that create, find and delete buckets."""

    def create_bucket(
        self,
        bucket_name: str | None = None,
        *,
        acl: BucketAcl | None = None,
        storage_class: StorageClass | None = None,
        redundancy: Redundancy | None = None,
    ) -> bool:
        """Create a bucket in the region of this hook or of its connection. Return False if it already exists.

        An existing bucket is not changed: it keeps its ACL, storage class and redundancy.

        :param bucket_name: the bucket. Default: the connection's bucket
        :param acl: ``private`` (default), ``public-read`` or ``public-read-write``
        :param storage_class: the storage class of its objects. Default: ``Standard``
        :param redundancy: ``LRS`` (default) stores objects in one zone of the region, ``ZRS`` in several
        :raises ArgumentError: for a name that OSS does not allow
        :raises ServiceError: with the code BucketAlreadyExists, if another account or another region has a bucket of
            that name
        """
        bucket = self.prefix(None, bucket_name).bucket
        for argument, value, choices in (
            ("acl", acl, BucketAcl),
            ("storage_class", storage_class, StorageClass),
            ("redundancy", redundancy, Redundancy),
        ):
            if value is not None:
                check_choice(argument, value, get_args(choices))
        if self.check_for_bucket(bucket):
            log.info("The bucket oss://%s already exists; it was not changed", bucket)
            return False
        self.get_conn().put_bucket(
            bucket,
            storage_class=storage_class or "",
            redundancy=redundancy or "",
            headers={"x-oss-acl": acl} if acl else None,
        )
        log.info("Created the bucket oss://%s in the region %s", bucket, self.get_conn().region or "of the endpoint")
        return True

    def check_for_bucket(self, bucket_name: str | None = None) -> bool:
        """Return whether a bucket exists. Only a missing bucket is False; any other error is raised.

        :param bucket_name: the bucket. Default: the connection's bucket
        :raises AccessDenied: if it belongs to another account, or the permission oss:GetBucketInfo is missing
        """
        try:
            self.get_bucket_info(bucket_name)
        except NoSuchBucket:
            return False
        return True

    def get_bucket_info(self, bucket_name: str | None = None) -> BucketInfo:
        """Return a bucket's region, endpoints and owner.

        :param bucket_name: the bucket. Default: the connection's bucket
        :raises NoSuchBucket: if it does not exist
        """
        return self.get_conn().get_bucket_info(self.prefix(None, bucket_name).bucket)

    def delete_bucket(
        self, bucket_name: str | None, force_delete: Flag = False, *, watch: Callable[[], None] = lambda: None
    ) -> None:
        """Delete a bucket. With ``force_delete``, first delete its objects and unfinished uploads, permanently.

        What will be deleted is logged first. A bucket with versions must be empty: deleting its objects would keep the
        versions, and OSS does not delete a bucket that has any.

        :param bucket_name: the plain name of the bucket. A URL is an error, and the connection's bucket is never used,
            so that only a bucket that you name here is deleted
        :param watch: called before each request; an exception that it raises ends the work
        :raises ArgumentError: if the name is not valid, if the bucket is not empty and ``force_delete`` is not set, or
            if it is not empty and keeps versions
        :raises NoSuchBucket: if it does not exist
        :raises PartlyFailed: if objects could not be deleted, for example because a retention policy protects them
        """
        bucket = _bucket_to_delete(bucket_name)
        force = parse_flag("force_delete", force_delete)
        if held := self._contents_of(bucket, watch, most=None if force else MAX_COUNTED):
            if not force:
                raise ArgumentError(
                    "force_delete", force_delete, f"the bucket oss://{bucket} holds {held}; delete them first, or set "
                    "force_delete=True to delete them too"
                )  # fmt: skip
            self._refuse_versions(bucket, force_delete)
            log.warning("Deleting the bucket oss://%s and everything in it: %s", bucket, held)
            self._empty(bucket, watch)
        watch()
        with suppress(NoSuchBucket):  # it existed a moment ago: the answer to an earlier attempt was lost
            self.get_conn().delete_bucket(bucket)
        log.info("Deleted the bucket oss://%s", bucket)

    def _contents_of(self, bucket: str, watch: Callable[[], None], *, most: int | None) -> str:
        """Return how many objects and unfinished uploads a bucket has, in words; empty if it has none.

        :param most: stop counting each of them at this number; None counts all
        """
        objects = size = uploads = 0
        for objects, listed in enumerate(islice(self.get_conn().list_objects(bucket), most), start=1):
            size += listed.size
            if objects % MAX_COUNTED == 0:
                watch()
        watch()
        for uploads, _ in enumerate(islice(self.get_conn().list_uploads(bucket), most), start=1):
            if uploads % MAX_COUNTED == 0:
                watch()
        counts = [(objects, "object", f" ({format_size(size)})"), (uploads, "unfinished upload", "")]
        return " and ".join(
            f"{'at least ' if count == most else ''}{count} {what}{'' if count == 1 else 's'}{more}"
            for count, what, more in counts
            if count
        )

    def _refuse_versions(self, bucket: str, force_delete: Flag) -> None:
        """:raises ArgumentError: for a bucket with versions, because its objects would only get delete markers"""
        if self.get_conn().get_bucket_info(bucket).versioning:
            raise ArgumentError(
                "force_delete", force_delete, f"the bucket oss://{bucket} keeps versions, and OSS does not delete "
                "a bucket that has any; nothing was deleted. Delete its versions first, in the console or with a "
                "lifecycle rule"
            )  # fmt: skip

    def _empty(self, bucket: str, watch: Callable[[], None]) -> None:
        client = self.get_conn()
        targets = (ObjectRef(bucket, listed.key) for listed in client.list_objects(bucket))
        report = delete_objects(client, targets, watch=watch)
        if report.errors:
            raise PartlyFailed(f"{len(report.errors)} objects of oss://{bucket} were not deleted", report.errors)
        for upload in client.list_uploads(bucket):
            watch()
            try:
                client.abort(upload.target, upload.upload_id)
            except NoSuchUpload:
                continue  # it has ended since it was listed


def _bucket_to_delete(name: object) -> str:
    """:raises ArgumentError: unless it is the plain name of a bucket"""
    check_text("bucket_name", name)
    refuse_empty("bucket_name", name)
    if str(name).startswith("oss:"):
        raise ArgumentError("bucket_name", name, "give the bucket's plain name, not a URL")
    return check_bucket(str(name))
