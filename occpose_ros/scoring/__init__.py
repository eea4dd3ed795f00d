"""How good recorded answers are: paired with the truth, or with the answers of another run."""
