"""The hook's methods for objects that do not read or write their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from airflow_provider_ossresume.errors import ArgumentError, NoSuchKey
from airflow_provider_ossresume.hooks.cleaning import check_no_version, delete_objects
from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.hooks.object_lookup import BeforeRequest, Check, LookResult, look
from airflow_provider_ossresume.model.arguments import Duration, parse_duration, parse_flag
from airflow_provider_ossresume.model.cleanup_reports import DeleteReport
from airflow_provider_ossresume.model.object_names import unambiguous_name
from airflow_provider_ossresume.model.object_options import check_tags
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.waiting import Wanted


class ObjectMethods(ConnectedHook):
    """The methods of the hook that check, delete, tag and share objects."""

    def head_object(self, key: str, bucket_name: str | None = None) -> ObjectMeta:
        """Return an object's headers. A task may return them: the next task gets a dict.

        :raises NoSuchKey: if it does not exist
        """
        return self.get_conn().head_object(self.target(key, bucket_name))

    def object_exists(self, key: str, bucket_name: str | None = None) -> bool:
        """Return whether an object exists. Only a missing key is False; any other error is raised.

        :raises NoSuchBucket: if the bucket does not exist
        :raises AccessDenied: if the permission oss:GetObject is missing
        """
        try:
            self.head_object(key, bucket_name)
        except NoSuchKey:
            return False
        return True

    def check_for_key(self, key: str, bucket_name: str | None = None) -> bool:
        """Return whether an object exists: :meth:`object_exists` under the name that S3Hook uses."""
        return self.object_exists(key, bucket_name)

    def look(
        self, wanted: Wanted, *, check: Check | None = None, before_request: BeforeRequest | None = None
    ) -> LookResult:
        """Check once for a sensor; see :func:`~airflow_provider_ossresume.hooks.object_lookup.look`."""
        return look(self.get_conn(), wanted, check=check, before_request=before_request)

    def delete_many(
        self, targets: Iterable[ObjectRef], *, dry_run: bool | str = False, watch: Callable[[], None] = lambda: None
    ) -> DeleteReport:
        """Delete any number of objects; see :func:`~airflow_provider_ossresume.hooks.cleaning.delete_objects`."""
        return delete_objects(
            self.get_conn(), map(self.target, targets), dry_run=parse_flag("dry_run", dry_run), watch=watch
        )

    def delete_objects(
        self, keys: str | ObjectRef | Iterable[str | ObjectRef], bucket_name: str | None = None
    ) -> list[str]:
        """Delete objects and return their keys. An object that does not exist counts as deleted.

        The keys have the same form as those of :meth:`~.ListingMethods.list_keys`.

        :param keys: a key, an ``oss://`` URL, or a list of them. An empty list deletes nothing
        :raises ArgumentError: as :meth:`~.ConnectedHook.target`, before anything is deleted
        """
        keys = [keys] if isinstance(keys, (str, ObjectRef)) else keys
        if not isinstance(keys, Iterable):
            raise ArgumentError("keys", keys, "give a key or a list of keys")
        targets = [check_no_version(self.target(key, bucket_name)) for key in keys]
        gone: list[str] = []
        for bucket in dict.fromkeys(target.bucket for target in targets):
            deleted = self.get_conn().delete_objects(bucket, [t.key for t in targets if t.bucket == bucket])
            gone += [unambiguous_name(ObjectRef(bucket, key)) for key in deleted]
        return gone

    def get_object_tagging(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, version_id: str | None = None
    ) -> dict[str, str]:
        """Return an object's tags, as a dict that may be empty.

        :raises NoSuchKey: if the object does not exist
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
        """Replace all tags of an object.

        :param tags: 1 to 10 tags; see :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`
        :raises ArgumentError: for invalid tags, and without tags: use :meth:`delete_object_tagging` to remove all
        :raises NoSuchKey: if the object does not exist
        """
        target = self.target(key, bucket_name, version_id=version_id)
        if not (checked := check_tags("tags", tags)):
            raise ArgumentError("tags", tags, "give at least one tag; delete_object_tagging removes all tags")
        self.get_conn().put_object_tagging(target, checked)

    def delete_object_tagging(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, version_id: str | None = None
    ) -> None:
        """Remove all tags of an object.

        :raises NoSuchKey: if the object does not exist
        """
        self.get_conn().delete_object_tagging(self.target(key, bucket_name, version_id=version_id))

    def generate_presigned_url(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, method: str = "GET", expires: Duration = 3600
    ) -> str:
        """Return a URL that allows one kind of request to the object without credentials. Treat it as a secret.

        :param method: GET, HEAD, PUT or DELETE
        :param expires: seconds, a timedelta, or a string such as ``"1h"``. With V4 signatures at most seven days
        :raises ArgumentError: for another method, or an invalid time
        """
        seconds = int(parse_duration("expires", expires, least=1).total_seconds())
        return self.get_conn().presigned_url(method, self.target(key, bucket_name), expires=seconds)
