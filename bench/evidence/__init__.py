"""Files of a run: verdicts, JUnit XML, journal, bus logs and the HTML report (`docs/contracts.md`)."""
