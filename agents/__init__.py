"""Policies and other agents: chat rendering, tokens, generation, rollouts.

Importing this package is cheap: torch and transformers load with `policy`, `generation` and the
other modules that need them; `config`, `types` and `baselines` do without.
"""
