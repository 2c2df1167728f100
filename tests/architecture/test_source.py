"""The limits of the house: small files, small functions, no broad excepts, nothing that executes data."""

import ast
import functools
from pathlib import Path

import flame

ROOT = Path(flame.__file__).parent
NAMES = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.rglob("*.py"))]
BORDERS = {
    "cli/border.py",
    "federation/embedded.py",
    "federation/nvflare/exchange.py",
    "federation/nvflare/executor.py",
}
EXECUTING = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@functools.cache
def trees():
    return {name: ast.parse((ROOT / name).read_text(encoding="utf-8")) for name in NAMES}


def _nodes(tree, *kinds):
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def _lines(node):
    return node.end_lineno - node.lineno + 1


def test_files_have_at_most_400_lines():
    lengths = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in NAMES}
    assert not {name: length for name, length in lengths.items() if length > 400}


def test_functions_have_at_most_60_lines():
    functions = [
        (name, function.name, _lines(function))
        for name, tree in trees().items()
        for function in _nodes(tree, ast.FunctionDef, ast.AsyncFunctionDef)
    ]
    assert len(functions) > 100
    assert not [one for one in functions if one[2] > 60]


def test_only_the_two_borders_catch_everything():
    found = {
        name
        for name, tree in trees().items()
        for node in _nodes(tree, ast.ExceptHandler)
        if node.type is None or {one.id for one in _nodes(node.type, ast.Name)} & {"Exception", "BaseException"}
    }
    assert found == BORDERS


def test_nothing_that_is_read_is_executed():
    for name, tree in trees().items():
        imported = {alias.name for node in _nodes(tree, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in _nodes(tree, ast.ImportFrom)}
        assert not EXECUTING & {module.partition(".")[0] for module in imported}, name
        called = {ast.unparse(node.func) for node in _nodes(tree, ast.Call)}
        assert not {"eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load"} & called, name
        allowed = [word for word in _nodes(tree, ast.keyword) if word.arg == "allow_pickle"]
        assert not [word for word in allowed if ast.unparse(word.value) != "False"], name


def test_every_module_says_what_it_is_and_what_is_public():
    for name, tree in trees().items():
        if not tree.body:
            continue
        assert ast.get_docstring(tree), name
        (public,) = [node.value for node in tree.body if isinstance(node, ast.Assign) and _is_all(node)] or [None]
        if name.endswith(("__init__.py", "__main__.py")) and public is None:
            continue
        names = ast.literal_eval(public)
        assert not [one for one in names if one.startswith("_")], name
        undocumented = [
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names and not ast.get_docstring(node)
        ]
        assert not undocumented, name


def _is_all(node):
    return [ast.unparse(target) for target in node.targets] == ["__all__"]
