"""A second provider that registers ``oss://``: a distribution with a package of its own, made in a folder."""

from __future__ import annotations

from pathlib import Path

INFO = """
def get_provider_info():
    return {{
        "package-name": "{distribution}",
        "name": "Another OSS",
        "description": "It registers oss, too.",
        "versions": ["1.0.0"],
        "filesystems": ["{package}.fs"],
    }}
"""
FILESYSTEM = """
from fsspec.implementations.memory import MemoryFileSystem

schemes = ["oss"]


class AnotherFileSystem(MemoryFileSystem):
    protocol = "oss"


def get_fs(conn_id, storage_options=None):
    return AnotherFileSystem()
"""


def install_provider(site: Path, package: str) -> None:
    """Make it as pip would leave it there: the package, its metadata and its entry point."""
    distribution = package.replace("_", "-")
    folder = site / package
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(INFO.format(distribution=distribution, package=package))
    (folder / "fs.py").write_text(FILESYSTEM)
    metadata = site / f"{package}-1.0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[apache_airflow_provider]\nprovider_info = {package}:get_provider_info\n"
    )
