"""Hydra configuration: YAML that mirrors the dataclasses of the other three packages.

Defaults live in the dataclasses; a file here holds only what differs, with a comment that says why.
"""
