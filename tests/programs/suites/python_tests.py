"""Runs modules of CPython's own tests and writes down how each test ended.

    python3 python_tests.py LIST MODULE [PATTERN...]

LIST gets one line a test: its name and `ok`, `skipped`, or `FAIL`/`ERROR` with
the exception's class. Patterns name tests to leave out (fnmatch on the full
name). What the tests print is left to standard error.
"""

import faulthandler
import fnmatch
import importlib
import sys
import unittest

from test import support

# A test that hangs ends the run with every thread's stack.
HANGS_AFTER = 120


class Listing(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out

    def line(self, test, how, error=None):
        kind = f" {error[0].__name__}" if error else ""
        print(f"{test.id()}\t{how}{kind}", file=self.out, flush=True)

    def startTest(self, test):
        super().startTest(test)
        print(f"{test.id()} ...", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)

    def addSuccess(self, test):
        self.line(test, "ok")

    def addSkip(self, test, reason):
        self.line(test, "skipped")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.line(test, "FAIL", error)

    def addError(self, test, error):
        super().addError(test, error)
        self.line(test, "ERROR", error)

    def addExpectedFailure(self, test, error):
        self.line(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.line(test, "unexpected success")

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            self.line(subtest, "FAIL", error)


def each(suite):
    """The tests of a suite of suites."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from each(part)
        else:
            yield part


def without(suite, patterns):
    """The suite, class by class as it was, without the named tests."""
    kept = [
        test for test in each(suite)
        if not any(fnmatch.fnmatchcase(test.id(), pattern) for pattern in patterns)
    ]
    return unittest.TestSuite(kept)


def main():
    path, name, *patterns = sys.argv[1:]
    # Nothing that needs the network, gigabytes, minutes or a sound card.
    support.use_resources = []
    support.verbose = False
    module = importlib.import_module("test." + name)
    suite = without(unittest.defaultTestLoader.loadTestsFromModule(module), patterns)
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as out:
        result = Listing(out)
        suite.run(result)
    for test, trace in result.failures + result.errors:
        print(f"== {test.id()}\n{trace}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
