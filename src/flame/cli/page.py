"""The page that `--help` prints: Typer's own, without what Typer loads for pages that FLAME never prints."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from typer.core import TyperGroup

__all__ = ["Page"]

# Typer's pages take Markdown from the first and coloured tracebacks from the second. FLAME's help has no Markdown, and
# its tracebacks are Python's (`pretty_exceptions_enable=False`); but to load both took a third of `flame --help`.
UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}


class Page(TyperGroup):
    """A group of commands whose help comes at once."""

    def format_help(self, *arguments: Any, **named: Any) -> None:
        with _unloaded():
            import typer.rich_utils  # noqa: F401 - the super class prints with it
        super().format_help(*arguments, **named)


@contextmanager
def _unloaded() -> Iterator[None]:
    """Let the block import names of unused modules without their load; whoever asks later gets the real modules."""
    absent = {module: name for module, name in UNUSED.items() if module not in sys.modules}
    for module, name in absent.items():
        sys.modules[module] = ModuleType(module)
        setattr(sys.modules[module], name, None)
    try:
        yield
    finally:
        for module in absent:
            del sys.modules[module]
