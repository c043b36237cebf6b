"""Procedural cities: streets, blocks, buildings, landmarks and routes from a seed.

The folder reads in this order: `scene` (what a city is), `config` (what can be set), `geometry`,
`streets` (the graph), `faces` and `blocks` (what lies between streets), `lots` (buildings),
`names` and `landmarks`, `furniture`, `visibility` (what is seen from where), `builder` (all of it
in order), `cache` (on disk), `network`, `walks` and `routes`, and `world` (a city to walk in).
"""
