"""The command line. Each command is a module of its own, imported only when it runs, so ``gongfu --help`` is quick.

Exit status: 0 done · 1 failed, or a check found a problem · 2 wrong use · 3 the node cannot be reached · 4 not signed
in or not permitted · 5 not found · 130 interrupted.
"""

import importlib
import sys

import click

# Command -> (module, short help). The help stands here so that listing commands imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up", "Run the node until it is stopped."),
    "status": ("status", "Show what the node does: roles, rates, totals, lag."),
    "doctor": ("doctor", "Check this machine and the data directory."),
    "connect": ("connection", "Look at machines and connect them; list, pause and remove connections."),
    "device": ("device", "Add, list, show, change and remove devices."),
    "tenant": ("tenant", "List tenants, change their quotas."),
    "model": ("model", "Import, export, list, show and check thing models."),
    "mechanism": ("mechanism", "Register, bind, call and back-fill mechanism models."),
    "app": ("app", "Make, test, run, install, upgrade and remove apps."),
    "query": ("query", "Read points over a time range."),
    "export": ("export", "Write points over a time range to a Parquet, Arrow or CSV file."),
    "sql": ("sql", "Run a read-only SQL query over points and records."),
    "tail": ("tail", "Show latest values, and follow them."),
    "rule": ("rule", "List rules, apply files of rules, try a rule on history."),
    "alarm": ("alarm", "List and acknowledge alarms, read their journal."),
    "node": ("node", "Found or join a tree of nodes, see and govern the nodes below."),
    "order": ("order", "Write, approve, issue, watch, revoke and answer orders of the tree."),
    "rollout": ("rollout", "Send an order out in waves, the next when enough of the last is verified."),
    "report": ("report", "Declare kinds of reports, show and publish cells, sign records."),
    "id": ("identifier", "Register and resolve identifiers; prefixes, ranges, templates, applications."),
    "store": ("store", "Search the app store, review, certify, rate; statements."),
    "calls": ("calls", "Offer models and routes to other nodes, agree to theirs, call them."),
    "user": ("user", "Add and list users, reset passwords."),
    "backup": ("backup", "Write a consistent backup of the node."),
    "restore": ("restore", "Make a data directory from a backup."),
    "version": ("version", "Show the version."),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the documentation."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gongfu.node.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; for a misspelt one name the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(f"There is no command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from error


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main_group() -> None:
    """Gongfu (工赋): an industrial-internet node. `gongfu up` runs one; the other commands talk to it."""


def main() -> None:
    """Run the command line."""
    from gongfu.node.cli.failures import run_with_failures

    sys.exit(run_with_failures(main_group))
