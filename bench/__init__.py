"""otabench: the bench half (controller, agent, flasher, oracle, reports)."""

__version__ = "0.1.0"
