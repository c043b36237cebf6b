"""What a tokenizer and its chat template say: which ids end an answer, which are never sampled."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

MARKER = "ANSWERMARK"  # a plain word: templates strip whitespace around contents
THINKING = "enable_thinking"  # in a chat template
TODAY = "26 Jul 2024"  # what Llama 3's templates take where they cannot ask for the date


def text_content(text: str, as_parts: bool) -> Any:
    """A message's content that is text alone, in the form that the template reads."""
    return [{"type": "text", "text": text}] if as_parts else text


def render(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[dict[str, Any]],
    *,
    answer_next: bool = False,
) -> str:
    """The chat template's text of a conversation, on every day the same.

    answer_next: ends where an answer is to be given. Templates that tell the date (Llama 3) are
    given `TODAY`: else a run that goes on tomorrow would read other prompts than it was trained on.
    """
    return str(
        tokenizer.apply_chat_template(
            list(messages),
            add_generation_prompt=answer_next,
            tokenize=False,
            date_string=TODAY,
        )
    )


def choose_thinking(tokenizer: PreTrainedTokenizerBase, thinking: bool) -> None:
    """Have answers begin with thoughts or without, whoever asks, also once the tokenizer is saved.

    Raises ValueError for a chat template without the choice (Qwen3 calls it `enable_thinking`).
    """
    template = tokenizer.chat_template
    if not isinstance(template, str) or THINKING not in template:
        raise ValueError(
            "policy.thinking must be null for a policy whose chat template has no choice of "
            f"thinking ({THINKING}); got {str(thinking).lower()}"
        )
    chosen = {value: f"{{%- set {THINKING} = {str(value).lower()} -%}}" for value in (True, False)}
    for before in chosen.values():
        template = template.removeprefix(before)
    tokenizer.chat_template = chosen[thinking] + template


def reads_parts_only(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template loses a content that is a plain string (SmolVLM, LLaVA)."""
    try:
        return MARKER not in _render(tokenizer, as_parts=False)
    except TypeError:  # a template that looks into the parts of a string
        return True


def end_ids(model: Any, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The id that the template puts after an answer first, then all that are declared besides.

    Raises ValueError if there is none.
    """
    declared = model.generation_config.eos_token_id
    more = declared if isinstance(declared, list) else [declared]
    ids = [_template_end(tokenizer), tokenizer.eos_token_id, *more]
    found = [int(i) for i in ids if i is not None]
    if not found:
        raise ValueError("a policy's tokenizer must have an end token; it has none")
    return tuple(dict.fromkeys(found))


def banned_ids(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    ends: Sequence[int],
    reserved: frozenset[int] = frozenset(),
) -> tuple[int, ...]:
    """Ids that are never sampled: special and reserved ones, and rows of the head without token."""
    rows = model.get_output_embeddings().weight.shape[0]
    beyond = set(range(len(tokenizer), rows))
    never = (special_ids(tokenizer) | beyond | reserved) - set(ends)
    return tuple(sorted(i for i in never if i < rows))


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(tokenizer.all_special_ids)


def _template_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The special id right after an answer in the chat template, if there is one."""
    if tokenizer.chat_template is None:
        return None
    rendered = _render(tokenizer, as_parts=reads_parts_only(tokenizer))
    _, _, after = rendered.partition(MARKER)
    ids = tokenizer.encode(after, add_special_tokens=False)
    return ids[0] if ids and ids[0] in special_ids(tokenizer) else None


def _render(tokenizer: PreTrainedTokenizerBase, *, as_parts: bool) -> str:
    messages = [
        {"role": "user", "content": text_content("question", as_parts)},
        {"role": "assistant", "content": text_content(MARKER, as_parts)},
    ]
    return render(tokenizer, messages)
