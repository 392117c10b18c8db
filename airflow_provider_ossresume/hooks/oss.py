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
    """Talk to Alibaba Cloud OSS, and move files part by part so that a later try goes on where this one ended.

    Nothing is looked up until the first call. Connections of the official Alibaba provider (type ``oss``) work too.

    A bucket is named by an ``oss://`` URL in place of a key, else by ``bucket_name``, else by the connection; a URL and
    an argument that disagree are an error.

    :param oss_conn_id: the Airflow connection; None takes the worker's own credentials, as the auth mode ``default``
        of a connection does, with ``region`` or ``OSS_REGION`` and perhaps ``OSS_ENDPOINT`` of its environment
    :param region: takes the place of the connection's, such as ``cn-hangzhou``
    :param transfer_config: a :class:`~airflow_provider_ossresume.transfer.config.TransferConfig`, or a dict of its
        fields
    """

    conn_name_attr = "oss_conn_id"
    default_conn_name = "oss_default"
    conn_type = "oss_resume"
    hook_name = "Alibaba Cloud OSS (resumable)"

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the connection works, and what it leads to or what to do.

        Sends one harmless request, and takes about 15 seconds at most; see
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
        """Return how the form shows the standard fields; Airflow 3.2 and later read the provider's metadata instead."""
        return connection_form.field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields; Airflow 3.2 and later read the provider's metadata instead."""
        return connection_form.connection_form_widgets()
