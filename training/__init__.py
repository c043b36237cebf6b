"""Learning and measuring: pretraining, SFT, GRPO, evaluation, statistics, reports.

The only layer that knows Hydra. Importing this package loads nothing heavy; each module does.
"""
