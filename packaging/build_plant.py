"""Install tep-studio where there is no C compiler or no Python headers: ``build_plant.py SDIST ZIG``.

tep-studio is published as source only, with a C kernel that cffi compiles against Python.h. A bare machine has neither
a compiler nor that header. So the kernel is compiled here as a plain shared library by Zig's C compiler (PyPI package
ziglang), and cffi opens it in ABI mode, which needs no header: the same functions under the same module name.
Runs in the virtual environment it installs into; nothing of tep-studio is kept elsewhere.
"""

import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

_SETUP = "from setuptools import setup\nsetup()\n"
_NATIVE = '''"""The kernel in ABI mode, in place of the extension module that cffi would compile."""

from pathlib import Path

from cffi import FFI

ffi = FFI()
ffi.cdef({declarations!r})
lib = ffi.dlopen(str(Path(__file__).with_name("tep_kernel.so")))
'''


def main(sdist: str, zig: str) -> None:
    """Build and install."""
    with tempfile.TemporaryDirectory(prefix="gongfu-plant-") as scratch:
        with tarfile.open(sdist) as archive:
            archive.extractall(scratch)  # pip has compared its hash; Python before 3.11.4 knows no filter
        (source,) = Path(scratch).iterdir()
        declarations, kernel = kernel_of(source)
        (source / "kernel.c").write_text(kernel)
        compiled = source / "tep_kernel.so"
        command = [zig, "-m", "ziglang", "cc", "-O2", "-fPIC", "-shared", "-o", str(compiled), "kernel.c", "-lm"]
        subprocess.run(command, cwd=source, check=True)
        (source / "setup.py").write_text(_SETUP)
        package = source / "src" / "tep_studio" / "simulation"
        (package / "_tep_native.py").write_text(_NATIVE.format(declarations=declarations))
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--no-compile", str(source)], check=True)
        installed = Path(sysconfig.get_path("platlib")) / "tep_studio" / "simulation" / "tep_kernel.so"
        installed.write_bytes(compiled.read_bytes())
    subprocess.run(
        [sys.executable, "-c", "from tep_studio.simulation.native import NativeTEPKernel; NativeTEPKernel()"],
        check=True,
    )


def kernel_of(source: Path) -> tuple[str, str]:
    """Return the C declarations and the C source that tep-studio's own build script hands to cffi."""
    script = source / "src" / "tep_studio" / "simulation" / "_cffi_build.py"
    scope: dict[str, object] = {"__name__": "_cffi_build", "__file__": str(script)}
    exec(compile(script.read_text(), str(script), "exec"), scope)
    builder = scope["ffibuilder"]
    _, kernel, _, _ = builder._assigned_source
    return "\n".join(builder._cdefsources), str(kernel)


if __name__ == "__main__":
    main(*sys.argv[1:])
