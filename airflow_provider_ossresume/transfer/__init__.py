"""The engine that moves bytes: uploads, downloads and copies. Only this package uses threads and local files."""
