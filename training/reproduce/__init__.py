"""The study's six cells and its side questions, run and set beside its published figures.

Read in this order: `config` (what a study is), `plan` (which runs that makes), `clock` (how long
they take), `runner` (runs them), `findings` (what they show), `page` and `tables` (how it is told).
"""
