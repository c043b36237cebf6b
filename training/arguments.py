"""Arguments of the programs that take a folder or a file, not a configuration."""

import argparse
import sys
from typing import NoReturn

USAGE_STATUS = 2


class ArgumentParser(argparse.ArgumentParser):
    """Tells what is wrong in one line, as every command does; usage is for --help."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message} ({self.prog} --help says what there is)\n")
        raise SystemExit(USAGE_STATUS)
