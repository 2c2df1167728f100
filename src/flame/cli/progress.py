"""Progress on the terminal: a bar for each stage with what is being done and the time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Show", "stages"]

Show = Callable[[str, float, float, str], None]


@contextmanager
def stages() -> Iterator[Show]:
    """Yield `show(stage, done, total, detail)`; a stage's bar appears when it is first shown and stays when done.

    Where standard output is no terminal, a line is printed as each stage begins and ends instead.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    console = Console()
    columns = (
        TextColumn("{task.description}", table_column=Column(min_width=13, no_wrap=True)),
        BarColumn(bar_width=14, table_column=Column(min_width=14)),
        TextColumn("{task.percentage:>3.0f}%", table_column=Column(min_width=4, no_wrap=True)),
        TimeRemainingColumn(compact=True, table_column=Column(min_width=5, no_wrap=True)),
        TextColumn("left, {task.fields[detail]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    )
    bars: dict[str, int] = {}
    with Progress(*columns, console=console, expand=True, disable=not console.is_terminal) as progress:

        def show(stage: str, done: float, total: float, detail: str) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=total, detail=detail)
                if not console.is_terminal:
                    console.print(f"{stage} ...")
            ended = progress.tasks[bars[stage]].finished
            progress.update(bars[stage], completed=done, total=total, detail=detail)  # type: ignore[arg-type]
            if done >= total and not ended and not console.is_terminal:
                console.print(f"{stage}: done")

        yield show
