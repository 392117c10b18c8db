"""What the hook does with buckets as a whole."""

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
    from airflow_provider_ossresume.oss.messages import BucketInfo

log = logging.getLogger(__name__)

BucketAcl = Literal["private", "public-read", "public-read-write"]
Redundancy = Literal["LRS", "ZRS"]

MOST_COUNTED = 1_000  # objects, and uploads, of a bucket that is not going to be deleted


class BucketMethods(ConnectedHook):
    """The methods of the hook that make, find and remove buckets."""

    def create_bucket(
        self,
        bucket_name: str | None = None,
        *,
        acl: BucketAcl | None = None,
        storage_class: StorageClass | None = None,
        redundancy: Redundancy | None = None,
    ) -> bool:
        """Make a bucket in the region of the connection, or of this hook; return False when it is there already.

        A bucket that is there stays as it is, with its ACL, class and redundancy.

        :param bucket_name: the connection's bucket by default
        :param acl: ``private`` by default, ``public-read`` or ``public-read-write``
        :param storage_class: of its objects; ``Standard`` by default
        :param redundancy: ``LRS`` by default, or ``ZRS``: in one zone of the region, or in several
        :raises ArgumentError: for a name that OSS does not allow
        :raises ServiceError: with the code BucketAlreadyExists when the name is another account's, or
            taken in another region
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
            log.info("The bucket oss://%s already exists and stays as it is", bucket)
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
        """Tell whether a bucket exists; only a missing one is False, every other answer raises.

        :param bucket_name: the connection's bucket by default
        :raises AccessDenied: when it is another account's, or the permission oss:GetBucketInfo is missing
        """
        try:
            self.get_bucket_info(bucket_name)
        except NoSuchBucket:
            return False
        return True

    def get_bucket_info(self, bucket_name: str | None = None) -> BucketInfo:
        """Return where a bucket is, what its endpoints are called and whose it is.

        :param bucket_name: the connection's bucket by default
        :raises NoSuchBucket: when there is none
        """
        return self.get_conn().get_bucket_info(self.prefix(None, bucket_name).bucket)

    def delete_bucket(
        self, bucket_name: str | None, force_delete: Flag = False, *, watch: Callable[[], None] = lambda: None
    ) -> None:
        """Remove a bucket; with ``force_delete`` all of its objects and unfinished uploads before, for good.

        The log says what is deleted, before it is. A bucket that keeps versions is only deleted when it is empty:
        the versions would stay, and OSS removes no bucket that has some.

        :param bucket_name: its plain name. The connection's bucket is never taken, and no URL: nothing is deleted that
            is not named here
        :param watch: called before each request; what it raises ends the work
        :raises ArgumentError: for anything but a bucket's name, and when it is not empty without ``force_delete``, or
            keeps versions
        :raises NoSuchBucket: when there is none
        :raises PartlyFailed: when objects were not deleted, as those that a retention policy protects
        """
        bucket = _named_bucket(bucket_name)
        force = parse_flag("force_delete", force_delete)
        if held := self._held(bucket, watch, most=None if force else MOST_COUNTED):
            if not force:
                raise ArgumentError(
                    "force_delete", force_delete, f"the bucket oss://{bucket} holds {held}; delete that first, or set "
                    "force_delete=True to delete all of it"
                )  # fmt: skip
            self._refuse_versions(bucket, force_delete)
            log.warning("Deleting the bucket oss://%s and everything in it: %s", bucket, held)
            self._empty(bucket, watch)
        watch()
        with suppress(NoSuchBucket):  # it was there a moment ago: the answer to an attempt before was lost
            self.get_conn().delete_bucket(bucket)
        log.info("Deleted the bucket oss://%s", bucket)

    def _held(self, bucket: str, watch: Callable[[], None], *, most: int | None) -> str:
        """Return what a bucket holds, in words; empty for nothing.

        :param most: count no further than this
        """
        objects = size = uploads = 0
        for objects, listed in enumerate(islice(self.get_conn().list_objects(bucket), most), start=1):
            size += listed.size
            if objects % MOST_COUNTED == 0:
                watch()
        watch()
        for uploads, _ in enumerate(islice(self.get_conn().list_uploads(bucket), most), start=1):
            if uploads % MOST_COUNTED == 0:
                watch()
        counts = [(objects, "object", f" ({format_size(size)})"), (uploads, "unfinished upload", "")]
        return " and ".join(
            f"{'at least ' if count == most else ''}{count} {what}{'' if count == 1 else 's'}{more}"
            for count, what, more in counts
            if count
        )

    def _refuse_versions(self, bucket: str, force_delete: Flag) -> None:
        """:raises ArgumentError: for a bucket with versions, whose objects would be hidden and not deleted"""
        if self.get_conn().get_bucket_info(bucket).versioning:
            raise ArgumentError(
                "force_delete", force_delete, f"the bucket oss://{bucket} keeps versions, and OSS deletes no bucket "
                "that has some; nothing was deleted. Delete its versions first, in the console or by a lifecycle rule"
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
                continue  # it has ended meanwhile


def _named_bucket(name: object) -> str:
    """Return the name of a bucket that is to be deleted."""
    check_text("bucket_name", name)
    refuse_empty("bucket_name", name)
    if str(name).startswith("oss:"):
        raise ArgumentError("bucket_name", name, "give the bucket's plain name, not a URL")
    return check_bucket(str(name))
