"""Says in one line why a model cannot be had, before transformers retries for half a minute."""

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id


def check_reachable(path: str) -> None:
    """Return if `path` is a model folder, a cached hub model or one that the hub gives out.

    Raises ValueError for a folder with neither config.json nor adapter_config.json, and separately
    for a hub name that does not exist, is gated, or cannot be looked up without a connection.
    """
    folder = Path(path)
    if folder.is_dir():
        if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise ValueError(f"policy folder must contain config.json; {path} does not")
        return
    if folder.is_absolute() or path.startswith(".") or path.count("/") > 1:
        raise ValueError(f"policy folder must exist; got {path!r}")
    try:
        validate_repo_id(path)
    except HFValidationError as error:
        raise ValueError(f"policy path must be a folder or a hub name; got {path!r}") from error
    if isinstance(huggingface_hub.try_to_load_from_cache(path, "config.json"), str):
        return
    _probe(path)


def _probe(name: str) -> None:
    try:
        huggingface_hub.auth_check(name)
    except GatedRepoError as error:
        raise ValueError(
            f"hub model {name!r} is gated: accept its licence on huggingface.co/{name} and log in "
            "with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise ValueError(
            f"hub model {name!r} was not found: no folder of that name, and no public model "
            "(a private one needs `hf auth login`)"
        ) from error
    except OfflineModeIsEnabled as error:
        raise ValueError(
            f"hub model {name!r} is not in the local cache and HF_HUB_OFFLINE is set"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise ValueError(f"hub model {name!r}: the hub answered with status {status}") from error
    except (HTTPError, OSError) as error:  # no connection
        raise ValueError(
            f"hub model {name!r} is not in the local cache and huggingface.co cannot be reached "
            f"({type(error).__name__}): give a folder, or connect"
        ) from error
