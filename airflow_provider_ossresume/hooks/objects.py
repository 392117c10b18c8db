"""What the hook does with single objects, or a list of them, without their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from airflow_provider_ossresume.errors import ArgumentError, NoSuchKey
from airflow_provider_ossresume.hooks.cleaning import current_version, delete_objects
from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.hooks.object_lookup import Ask, Check, Look, look
from airflow_provider_ossresume.model.arguments import Duration, parse_duration, parse_flag
from airflow_provider_ossresume.model.cleanup_reports import DeleteReport
from airflow_provider_ossresume.model.object_names import unambiguous_name
from airflow_provider_ossresume.model.object_options import check_tags
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.waiting import Wanted


class ObjectMethods(ConnectedHook):
    """The methods of the hook that look at objects, delete them and share them."""

    def head_object(self, key: str, bucket_name: str | None = None) -> ObjectMeta:
        """Return what OSS says of an object. A task may return it: the next one gets a dict.

        :raises NoSuchKey: when it does not exist
        """
        return self.get_conn().head_object(self.target(key, bucket_name))

    def object_exists(self, key: str, bucket_name: str | None = None) -> bool:
        """Tell whether an object exists; only a missing key is False, every other answer raises.

        :raises NoSuchBucket: when the bucket is missing
        :raises AccessDenied: when the permission oss:GetObject is missing
        """
        try:
            self.head_object(key, bucket_name)
        except NoSuchKey:
            return False
        return True

    def check_for_key(self, key: str, bucket_name: str | None = None) -> bool:
        """The same as :meth:`object_exists`, by the name that S3Hook has for it."""
        return self.object_exists(key, bucket_name)

    def look(self, wanted: Wanted, *, check: Check | None = None, ask: Ask | None = None) -> Look:
        """Look once for what a sensor waits for; see :func:`~airflow_provider_ossresume.hooks.object_lookup.look`."""
        return look(self.get_conn(), wanted, check=check, ask=ask)

    def delete_many(
        self, targets: Iterable[ObjectRef], *, dry_run: bool | str = False, watch: Callable[[], None] = lambda: None
    ) -> DeleteReport:
        """Delete any number of objects as they come; see :func:`~airflow_provider_ossresume.hooks.cleaning`."""
        return delete_objects(
            self.get_conn(), map(self.target, targets), dry_run=parse_flag("dry_run", dry_run), watch=watch
        )

    def delete_objects(
        self, keys: str | ObjectRef | Iterable[str | ObjectRef], bucket_name: str | None = None
    ) -> list[str]:
        """Delete objects and return the keys that are gone; one that did not exist counts.

        They are named as :meth:`~.ListingMethods.list_keys` names them.

        :param keys: a key or keys, or ``oss://`` URLs; none of them is nothing to do
        :raises ArgumentError: as :meth:`~.ConnectedHook.target`, before anything is deleted
        """
        keys = [keys] if isinstance(keys, (str, ObjectRef)) else keys
        if not isinstance(keys, Iterable):
            raise ArgumentError("keys", keys, "give a key, or a list of keys")
        targets = [current_version(self.target(key, bucket_name)) for key in keys]
        gone: list[str] = []
        for bucket in dict.fromkeys(target.bucket for target in targets):
            deleted = self.get_conn().delete_objects(bucket, [t.key for t in targets if t.bucket == bucket])
            gone += [unambiguous_name(ObjectRef(bucket, key)) for key in deleted]
        return gone

    def get_object_tagging(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, version_id: str | None = None
    ) -> dict[str, str]:
        """Return an object's tags; none is an empty dict.

        :raises NoSuchKey: when the object does not exist
        """
        return self.get_conn().get_object_tagging(self.target(key, bucket_name, version_id=version_id))

    def put_object_tagging(
        self,
        key: str | ObjectRef,
        tags: Mapping[str, str],
        bucket_name: str | None = None,
        *,
        version_id: str | None = None,
    ) -> None:
        """Give an object these tags in place of all that it has.

        :param tags: 1 to 10, as :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions` has them
        :raises ArgumentError: for others, and for none: :meth:`delete_object_tagging` takes all away
        :raises NoSuchKey: when the object does not exist
        """
        target = self.target(key, bucket_name, version_id=version_id)
        if not (checked := check_tags("tags", tags)):
            raise ArgumentError("tags", tags, "give at least one; delete_object_tagging takes all tags away")
        self.get_conn().put_object_tagging(target, checked)

    def delete_object_tagging(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, version_id: str | None = None
    ) -> None:
        """Take all tags from an object; one without tags stays as it is.

        :raises NoSuchKey: when the object does not exist
        """
        self.get_conn().delete_object_tagging(self.target(key, bucket_name, version_id=version_id))

    def generate_presigned_url(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, method: str = "GET", expires: Duration = 3600
    ) -> str:
        """Return a URL with which whoever has it may do one thing with the object. It is a secret: do not log it.

        :param method: GET, HEAD, PUT or DELETE; anything else is an ArgumentError
        :param expires: seconds, a timedelta, or a text such as ``"1h"``; at most seven days with V4 signatures
        """
        seconds = int(parse_duration("expires", expires, least=1).total_seconds())
        return self.get_conn().presigned_url(method, self.target(key, bucket_name), expires=seconds)
