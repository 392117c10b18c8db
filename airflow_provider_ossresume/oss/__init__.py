"""The OSS REST protocol: signing, messages, credentials, retries and the client."""
