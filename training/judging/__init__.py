"""Rewards by a model, beside those by the environment's rule; formulas stand in `../README.md`.

config     settings: who pays (`grpo.reward`), verdicts, reward models, DPO
identity   which environment a reward model was trained in
verdicts   a policy's answers with the rule's verdict on each, as a file: what all others learn from
head       a reward model that classifies: a policy's body with a head, trained on verdicts
judge      a reward model that reasons, in words, before its verdict
pay        what GRPO is paid by either, or by the policy itself
agreement  how a model's scores and the rule's verdicts go together
"""
