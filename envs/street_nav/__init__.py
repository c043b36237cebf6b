"""Street navigation: follow a route description through a city, in text or in street views.

The folder reads in this order: `types` (what routes and worlds are), `city` (procedural worlds),
`virl` (real data), `render` (pictures), and the environment's own files.
"""
