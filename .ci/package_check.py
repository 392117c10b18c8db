"""Check the wheel that is installed in a folder: it must contain every file of the package, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from importlib.metadata import distribution
from pathlib import Path

folder = Path(sys.argv[1]).resolve()

import airflow_provider_ossresume as package  # noqa: E402

if not Path(package.__file__).resolve().is_relative_to(folder):
    sys.exit(f"{package.__file__} was not imported from the wheel")
others = {path.name for path in folder.iterdir()} - {
    package.__name__,
    f"{package.__name__}-{package.__version__}.dist-info",
}
if others:
    sys.exit(f"the wheel also installs {', '.join(sorted(others))}")
names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
installed = distribution("airflow-provider-ossresume")
[entry_point] = [point for point in installed.entry_points if point.group == "apache_airflow_provider"]
if entry_point.load()()["package-name"] != installed.metadata["Name"]:
    sys.exit("the provider's name differs from the distribution's")
files = {str(file) for file in installed.files or ()}
for wanted in (
    "airflow_provider_ossresume/py.typed",
    f"{package.__name__}-{package.__version__}.dist-info/licenses/LICENSE",
):
    if wanted not in files:
        sys.exit(f"{wanted} is missing")
print(f"{len(names)} modules of the wheel of version {installed.version} import, and Airflow finds the provider")
