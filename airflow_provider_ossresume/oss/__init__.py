"""The OSS REST protocol, on requests and tenacity. Where to find what, from the client down to the socket:

==================  =================================================================================
the client          ``client``, and the operations in ``object_operations``, ``multipart_operations``
                    and ``bucket_operations``
sending a call      ``base_client`` (sign, send, retry, read), ``call``, ``retry``, ``resumable_get``,
                    ``body_streams``, ``clock``
reading a response  ``results``, ``xml_responses``, ``xml_reader``, ``header_values``, ``service_errors``
credentials         ``credentials``, ``temporary_credentials``, ``worker_credentials``, ``sts``,
                    ``credentials_service``, ``single_flight``
signatures          ``signer``, ``signing``
HTTP                ``connections``, ``origin_pool``, ``dialing``, ``proxies``, ``wire``, ``response``,
                    ``deadlines``, ``stop``, ``connection_errors``
addresses           ``endpoint``
==================  =================================================================================
"""
