"""`cardinal run`: a recipe, the stages of a training system one after the other.

Examples:
    cardinal run recipe=distill seeds=3
    cardinal run recipe=r1 name=short tflops=2
    cardinal run recipe=r1 --cfg job                     # what its stages are
    cardinal run recipe=r1 policy.path=FOLDER env.prompt=study hardware=one_24gb
"""

from .launch import command
from .recipes.config import RecipeConfig
from .run_place import run_root


@command("run", folder=run_root)
def main(config: RecipeConfig) -> None:
    from .recipes.runner import run_recipe

    run_recipe(config)


if __name__ == "__main__":
    main()
