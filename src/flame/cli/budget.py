"""`flame site budget`: what a site's patients have spent of their privacy, job by job, and what is left."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["budget"]


def budget(
    folder: Annotated[Path, typer.Argument(help="The site's folder: ledger, identity.pub, policy.toml.")],
) -> None:
    """Print what noisy rounds have cost, as epsilon at the policy's delta."""
    from rich.console import Console
    from rich.table import Table

    from flame.errors import ConfigError
    from flame.site.budget import cost_of, epsilon, spendings
    from flame.site.history import recorded
    from flame.site.ledger import read_head
    from flame.site.policy import site_policy

    if read_head(folder) is None:
        raise ConfigError(f"{folder} holds no ledger", "Name the site's work folder; nothing was read.")
    policy, spent = site_policy(folder), spendings(recorded(folder))
    table = Table("job", "rounds", "steps", "noise", "chance of a patient", "epsilon alone")
    for job in dict.fromkeys(one.job for one in spent):
        own = [one for one in spent if one.job == job]
        noise = ", ".join(sorted({f"{one.noise_multiplier:g}" for one in own}))
        rates = ", ".join(sorted({f"{one.sample_rate:.3g}" for one in own}))
        steps, rounds = sum(one.steps for one in own), len({one.round for one in own})
        alone = epsilon(map(cost_of, own), policy.delta)
        table.add_row(job[:8], str(rounds), str(steps), noise, rates, f"{alone:.3g}")
    Console().print(table)
    total = epsilon(map(cost_of, spent), policy.delta)
    typer.echo(f"All jobs together: epsilon {total:.3g} at delta {policy.delta:g}.")
    if policy.max_epsilon > 0:
        left = max(0.0, policy.max_epsilon - total)
        typer.echo(f"The policy allows {policy.max_epsilon:g}; {left:.3g} is left. Jobs without noise are refused.")
    else:
        typer.echo("The policy sets no limit (max_epsilon), and asks for no noise.")
