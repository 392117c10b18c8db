"""The hook for Alibaba Cloud OSS with resumable transfers."""

from __future__ import annotations

from typing import Any

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.hooks import connection_form
from airflow_provider_ossresume.hooks.buckets import BucketMethods
from airflow_provider_ossresume.hooks.connection_check import check_connection
from airflow_provider_ossresume.hooks.contents import ContentMethods
from airflow_provider_ossresume.hooks.janitor import JanitorMethods
from airflow_provider_ossresume.hooks.listing import ListingMethods
from airflow_provider_ossresume.hooks.objects import ObjectMethods
from airflow_provider_ossresume.hooks.sets import SetMethods
from airflow_provider_ossresume.hooks.transfers import TransferMethods


class OSSResumeHook(
    TransferMethods, SetMethods, ContentMethods, ObjectMethods, ListingMethods, BucketMethods, JanitorMethods
):
    """Work with Alibaba Cloud OSS, and transfer files part by part, so that the next try resumes.

    The hook looks up the connection at the first call. Connections of the official Alibaba provider (type ``oss``) work
    too.

    The bucket comes from an ``oss://`` URL given as the key, else from ``bucket_name``, else from the connection. It is
    an error if the URL and ``bucket_name`` differ.

    :param oss_conn_id: the Airflow connection. None uses the worker's own credentials, like the auth mode ``default``.
        The region then comes from ``region`` or the variable ``OSS_REGION``, the endpoint from ``OSS_ENDPOINT`` if set
    :param region: overrides the connection's region, such as ``cn-hangzhou``
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig`, or a dict of its
        fields
    """

    conn_name_attr = "oss_conn_id"
    default_conn_name = "oss_default"
    conn_type = "oss_resume"
    hook_name = "Alibaba Cloud OSS (resumable)"

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the connection works, and a message with details or with the next step.

        It sends one harmless request, and takes at most about 15 seconds. See
        :func:`~airflow_provider_ossresume.hooks.connection_check.check_connection`.
        """
        try:
            settings = self.settings
        except OSSResumeError as error:
            return False, str(error)
        return check_connection(settings, region=self.region)

    # --- the connection form ------------------------------------------------------------------------------------------

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return labels and placeholders of the standard fields. Airflow 3.2 and later read the metadata instead."""
        return connection_form.field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields. Airflow 3.2 and later read the provider's metadata instead."""
        return connection_form.connection_form_widgets()
