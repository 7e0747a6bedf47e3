"""How the command line fails: one line on standard error that says what to do, or JSON with ``--json``; an exit
status by kind."""

import json
import os
import sys

import click

FAILED = 1
UNREACHABLE = 3
NOT_PERMITTED = 4
NOT_FOUND = 5
INTERRUPTED = 130


class Failure(click.ClickException):
    """A command cannot do what was asked.

    Args:
        message: what is wrong.
        remedy: what the user can do about it.
        status: exit status.
        code: stable name for programs.
    """

    def __init__(self, message: str, remedy: str = "", status: int = FAILED, code: str = "failed") -> None:
        super().__init__(message)
        self.remedy = remedy
        self.status = status
        self.code = code

    def document(self) -> dict[str, object]:
        """Return it as the JSON that ``--json`` prints on standard error."""
        return {"error": {"code": self.code, "message": self.message, "remedy": self.remedy}}


def run_with_failures(group: click.Group) -> int:
    """Run the command line of this process and return its exit status. No failure ends in a stack trace."""
    as_json = "--json" in sys.argv
    try:
        status = group.main(prog_name="gongfu", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except Failure as failure:
        if as_json:
            print(json.dumps(failure.document(), ensure_ascii=False), file=sys.stderr)
        else:
            print(f"gongfu: {failure.message}", file=sys.stderr)
            if failure.remedy:
                print(f"        {failure.remedy}", file=sys.stderr)
        return failure.status
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`gongfu … | head`): nothing is wrong; keep Python from flushing again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
