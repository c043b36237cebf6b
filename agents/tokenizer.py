"""A word-level tokenizer built on the spot, for policies trained from scratch without a hub.

The vocabulary is the language of the compact prompts and of the JSON answer: numbers 0-99, ranks,
operators, a few words, and the answer's fixed pieces as one token each, so that an answer takes
about thirty tokens. Decoding joins the pieces without spaces: for every answer in the
environment's own format decode(encode(answer)) == answer. Spaces between words, which only prompts
have, are dropped.

    "rule J = 10 target 24 cards 5 J"   ->  rule|J|=|10|target|24|cards|5|J
    '{"cards": ["5", "J"], "number": …' ->  {"cards": ["|5|", "|J|"], "number": [|…

Numbers of three digits and more are spelt digit by digit; unknown text becomes one <unk> a word.
"""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

UNK, PAD, BOS, END, USER, ASSISTANT, IMAGE = SPECIAL_TOKENS = (
    "<unk>", "<pad>", "<bos>", "<end>", "<user>", "<assistant>", "<image>",
)  # fmt: skip

ANSWER_PIECES = (
    '{"cards": ["', '"], "number": [', '], "formula": "', '", "', ", ", '"}',
    '], "steps": "', '", "formula": "',  # the working before the formula
    "<think>", "</think>\n<answer>", "</answer>", "; ",  # the tagged format: reasoning first
)  # fmt: skip
WORDS = (
    "rule", "use", "target", "cards", "last", "wrong", "again", "unused", "invalid",
    "right", "illegal", "missing", "value",
    "A", "J", "Q", "K",
)  # fmt: skip
SYMBOLS = tuple("+-*/()=.,:\"'{}[]")

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '" + ASSISTANT + "' if message['role'] == 'assistant' else '" + USER + "' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{{ '" + IMAGE + "' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}" + END + "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"
)


def build_tokenizer(max_length: int = 1024) -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template; the same ids in every process and version."""
    pieces = (*SPECIAL_TOKENS, *map(str, range(100)), *WORDS, *SYMBOLS, *ANSWER_PIECES)
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    # `invert` makes the pattern say what to keep; everything between matches (spaces) is removed.
    core.pre_tokenizer = pre_tokenizers.Split(Regex(_pattern()), "removed", invert=True)
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token=UNK,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, IMAGE],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _pattern() -> str:
    longest_first = sorted(ANSWER_PIECES, key=len, reverse=True)
    escaped = ["".join("\\" + c if c in "{}[]" else c for c in piece) for piece in longest_first]
    number = r"(?<!\d)(?:[1-9]\d|\d)(?!\d)|\d"  # a number of up to two digits, else its digits
    return "|".join([*escaped, number, "[A-Za-z_]+", r"[^\s\w]", r"\w"])
