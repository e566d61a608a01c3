"""The rules of the invariants, each a fold in a file with its kin (docs/guides/rules.md); `judge.RULES` lists them."""
