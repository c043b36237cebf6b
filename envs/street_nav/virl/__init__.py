"""Real data: V-IRL's routes and Street View panoramas as the study distributes them.

The folder reads in this order: `pickles` (a reader that runs nothing), `milestones` (the text of a
route), `dataset` (a folder, its sound routes and all its problems), `world` (real streets to walk
in) and `check` (the report). There is no network access.
"""
