"""Policies as agents: chat rendering, tokens, generation, rollouts.

Importing this package loads nothing heavy: `cardinal_gym.agents.policy` and its neighbours do.
"""
