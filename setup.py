"""Puts into the wheel what project folders need besides `wsss`: stages, their dvc.yaml, recipes, and the schema."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

REPO = Path(__file__).parent
FILES = {
    "pipeline": [*REPO.glob("pipeline/*.py")],
    "project": [REPO / "dvc.yaml", REPO / "docs/params.schema.json"],
    "project/recipes": [*REPO.glob("recipes/*.yaml")],
}
"""Folders of the package, and what is copied into them. A checkout has these files in other places."""


class BuildWithProject(build_py):
    """As usual, then the copies."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for folder, files in FILES.items():
                into = Path(self.build_lib) / "wsss" / folder
                shutil.rmtree(into, ignore_errors=True)
                into.mkdir(parents=True)
                for file in files:
                    shutil.copy(file, into)


setup(cmdclass={"build_py": BuildWithProject})
