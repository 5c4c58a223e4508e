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
        if name.partition(".")[0] in {
            "matplotlib", "onnx", "pandas", "pyarrow", "sklearn", "torch", "training",
            "pip", "setuptools", "multipart", "python_multipart", "cloudpickle", "dill", "joblib",
        }:
            raise ModuleNotFoundError(f"{name} is behind the wall")
sys.meta_path.insert(0, Wall())
"""


def run_behind_the_wall(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WALL + program], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["app.serving", "app.__main__", "app.engine", "app.scoring"])
def test_the_service_is_imported_without_training_or_its_libraries(module: str) -> None:
    """Serving starts where torch, onnx, pandas, pyarrow, scikit-learn and our own training do not exist, nor what
    installs packages, reads forms or unpickles."""
    done = run_behind_the_wall(f"import {module}")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["torch", "onnx", "training.vae", "pip", "multipart"])
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


@pytest.mark.parametrize(("module", "by"), [("app.main", "app/serving.py"), ("app.serving", "app/__main__.py")])
def test_nothing_else_imports_the_application(module: str, by: str) -> None:
    """The end of the line: what puts the application together, what serves it, and the command line."""
    assert [name for name, file in FILES.items() if module in imports(file)] == [by]


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


CARRIES_CODE = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve", "torch", "yaml"}
"""Modules that make objects, and thereby code, of bytes; yaml does by default."""
RUNS_CODE = {"eval", "exec", "compile", "__import__", "breakpoint"}


def what_runs_bytes(source: str) -> set[str]:
    """What of a program would make code of bytes that somebody sent: imports, calls, arrays that may hold pickles."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = {call.func.id for call in calls if isinstance(call.func, ast.Name)} & RUNS_CODE
    imported = {
        module.partition(".")[0]
        for node in ast.walk(tree)
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    loads = [call for call in calls if isinstance(call.func, ast.Attribute) and ast.unparse(call.func) == "np.load"]
    with_pickles = {ast.unparse(call) for call in loads if "allow_pickle=False" not in ast.unparse(call)}
    return named | (imported & CARRIES_CODE) | with_pickles


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("app/")])
def test_the_service_makes_no_code_of_bytes(name: str) -> None:
    """No pickle, eval, yaml, joblib or torch.load: what BentoML and TorchServe were broken by."""
    assert not what_runs_bytes(FILES[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", "pickle"),
        ("def f():\n    from joblib.numpy_pickle import load", "joblib"),
        ("import yaml as y", "yaml"),
        ("import torch", "torch"),
        ("x = eval(request)", "eval"),
        ("np.load(file)", "np.load(file)"),
        ("np.load(file, allow_pickle=True)", "np.load(file, allow_pickle=True)"),
    ],
)
def test_code_made_of_bytes_is_found(source: str, found: str) -> None:
    """The test above can fail."""
    assert what_runs_bytes(source) == {found}
    assert not what_runs_bytes("import numpy as np\nwith np.load(file, allow_pickle=False) as x: re.compile(x)")
