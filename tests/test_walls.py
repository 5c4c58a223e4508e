"""Which way the arrows point: serving knows nothing of training, and only the command line knows the application."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Refuses to import what serving must do without, however deep the import is.
WALL = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"matplotlib", "onnx", "pandas", "pyarrow", "sklearn", "torch", "training"}:
            raise ImportError(f"{name} is behind the wall")
sys.meta_path.insert(0, Wall())
"""


def run_behind_the_wall(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WALL + program], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["app.main", "app.__main__", "app.engine", "app.scoring"])
def test_the_service_is_imported_without_training_or_its_libraries(module: str) -> None:
    """Serving starts where torch, onnx, pandas, pyarrow, scikit-learn and our own training do not exist."""
    done = run_behind_the_wall(f"import {module}")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["torch", "onnx", "training.vae"])
def test_the_wall_holds(name: str) -> None:
    """The test above can fail: an import of what is forbidden does not get through."""
    done = run_behind_the_wall(f"import {name}")

    assert done.returncode == 1
    assert "behind the wall" in done.stderr


def imports(file: Path) -> set[str]:
    """Every module that a file imports, at any depth, `from app import x` as app.x."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports by relative name, which this test does not follow"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = {
    file.relative_to(ROOT).as_posix(): file for part in ("app", "training") for file in (ROOT / part).rglob("*.py")
}


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("app/")])
def test_app_never_imports_training(name: str) -> None:
    """Not even in a function that is rarely called."""
    assert not {module for module in imports(FILES[name]) if module.partition(".")[0] in {"training", "torch", "onnx"}}


@pytest.mark.parametrize("name", [name for name in FILES if name != "app/__main__.py"])
def test_nothing_imports_the_application(name: str) -> None:
    """app.main is the end of the line: only the command line starts it."""
    assert "app.main" not in imports(FILES[name])


def test_errors_import_nothing_of_ours() -> None:
    """Everything may import the errors, so they import nothing."""
    assert not {module for module in imports(FILES["app/errors.py"]) if module.startswith(("app", "training"))}


def test_the_contract_needs_no_runtime() -> None:
    """A bundle can be read with pydantic and the standard library alone."""
    needed = imports(FILES["app/bundle.py"]) | imports(FILES["app/manifest.py"])
    outside = {module.partition(".")[0] for module in needed} - set(sys.stdlib_module_names)

    assert outside == {"app", "pydantic"}


def test_no_import_goes_in_a_circle() -> None:
    """The modules can be put in an order in which each imports earlier ones only."""
    modules = {name.removesuffix(".py").replace("/", "."): file for name, file in FILES.items()}
    left = {module: imports(file) & modules.keys() - {module} for module, file in modules.items()}
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in free:
            del left[module]

    assert left == {}
