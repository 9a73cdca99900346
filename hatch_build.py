"""The build hook of hatchling: it compiles the C core into the wheel. Without a compiler the wheel is pure Python.

MULTIPROCESSING_INTENUM_BUILD=c makes it an error if that fails, MULTIPROCESSING_INTENUM_BUILD=pure does not try.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Compiles `_core.c`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is made; for an editable installation into the source itself."""
        wanted = os.environ.get("MULTIPROCESSING_INTENUM_BUILD", "")
        if wanted not in ("", "c", "pure"):
            message = f"MULTIPROCESSING_INTENUM_BUILD must be c or pure, not {wanted!r}"
            raise ValueError(message)
        if wanted == "pure" or (sys.implementation.name != "cpython" and not wanted):
            return
        self._directory = tempfile.TemporaryDirectory()
        target = self.root if version == "editable" else self._directory.name
        try:
            (built,) = self._compile(target)
        except Exception as error:  # no compiler, no Python.h, no setuptools for it: many things can be missing
            if wanted:
                raise
            self.app.display_warning(f"no C core, this wheel will be pure Python: {error}")
            return
        # Not the oldest version that the extension could be for: compiled with the headers of a newer one it crashes.
        interpreter, abi, platform = self.build_config.builder.get_best_matching_tag().split("-")
        build_data["tag"] = f"{interpreter}-{'abi3' if _LIMITED else abi}-{platform}"
        build_data["pure_python"] = False
        if version != "editable":
            build_data["force_include"][built] = f"multiprocessing_intenum/{Path(built).name}"

    def _compile(self, target: str) -> list[str]:
        from setuptools import Distribution, Extension

        macros: list[tuple[str, str | None]] = [("_GNU_SOURCE", None)]
        if _LIMITED:
            macros.append(("Py_LIMITED_API", "0x030A0000"))
        source = str(Path(self.root, "multiprocessing_intenum", "_core.c"))
        extension = Extension("multiprocessing_intenum._core", [source], define_macros=macros, py_limited_api=_LIMITED)
        command: Any = Distribution({"ext_modules": [extension]}).get_command_obj("build_ext")
        command.build_lib, command.build_temp = target, self._directory.name
        command.ensure_finalized()
        command.run()
        return command.get_outputs()  # type: ignore[no-any-return]

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the compiler has left."""
        if hasattr(self, "_directory"):
            self._directory.cleanup()


_LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")
"""Whether one extension serves all versions from this one on: there is no such ABI without the GIL before 3.15."""
