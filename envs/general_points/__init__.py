"""General Points: combine the cards of a hand into a formula that equals the target.

The folder reads in this order: `config` (what can be set), `cards` (dealing), `splits` (what is
held out), `solver` and `expression` (arithmetic in rationals), `reward` (judging), `prompts` (what
is said), `task` (the above as pure functions), `oracle`, `render` (pictures) and `env` (the
episode).
"""
