"""The official SDKs judge the local OSS server: ``judge.py`` says what is asked, one module a client asks it."""
