"""Tables of docs/experiments.md: each is a list of variations that `dvc exp run` computes."""
