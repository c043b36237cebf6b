"""Recipes: training systems as pipelines of typed stages; `README.md` here lists them.

config     what a stage is, and a recipe's configuration
plan       stages with their settings worked out and their inputs found; what is wrong in one line
stages     runs one stage of one seed, or goes on where it stopped
rejection  a policy's accepted answers, as demonstrations for others
judging    verdicts of the rule, models of them, and DPO
measures   plays the evaluation tasks and reads the thoughts
outline    what a summary needs to know of a recipe, from its plan or from its folder
pooled     one policy's results over all seeds
summary    what every stage gained, with intervals, over all seeds
gains      what one policy has over another, on the same tasks
over_training  ends and curves of what RL logged
gaming     what reward models would pay, beside what is right
tables     the summary as tables, in Markdown
figures    the summary as figures
page       both as one HTML file
report     writes all of it, at the end of a run or again
thoughts   what the thoughts of played answers are like
runner     all stages of all seeds, then the summary
"""
