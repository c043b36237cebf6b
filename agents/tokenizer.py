"""A word-level tokenizer built on the spot, for policies trained from scratch without a hub.

The vocabulary is the language of the compact prompts and of the JSON answer: numbers 0-99, ranks,
operators, a few words, and the answer's fixed pieces as one token each, so that an answer takes
about thirty tokens. Decoding joins the pieces without spaces: for every answer of General Points in
its own format decode(encode(answer)) == answer. Spaces between words are dropped; in the answers of
street navigation they occur in `current observation`, which is judged without them.

    "rule J = 10 target 24 cards 5 J"   ->  rule|J|=|10|target|24|cards|5|J
    '{"cards": ["5", "J"], "number": …' ->  {"cards": ["|5|", "|J|"], "number": [|…

Numbers of three digits and more are spelt digit by digit (`streets`: from 360); unknown text
becomes one <unk> a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ..envs.general_points.thought import MARKS
from ..envs.street_nav.actions import COMPASS, Rule
from ..envs.street_nav.city.names import LANDMARK_WORDS
from .config import Vocabulary

UNK, PAD, BOS, END, USER, ASSISTANT, IMAGE = SPECIAL_TOKENS = (
    "<unk>", "<pad>", "<bos>", "<end>", "<user>", "<assistant>", "<image>",
)  # fmt: skip

CARD_PIECES = (
    '{"cards": ["', '"], "number": [', '], "formula": "', '", "', ", ", '"}',
    '], "steps": "', '", "formula": "',  # the working before the formula
    "<think>", "</think>\n<answer>", "</answer>", "; ",  # the tagged format: reasoning first
)  # fmt: skip
CARD_WORDS = (
    "rule", "use", "target", "cards", "last", "wrong", "again", "unused", "invalid",
    "right", "illegal", "missing", "value",
    "A", "J", "Q", "K",
)  # fmt: skip
THOUGHT_PIECES = tuple(f" {word}" for word in MARKS)  # with their space, to decode as written
THOUGHT_WORDS = ("think", "tokens")  # of prompts that ask for a length
CALCULATOR_PIECES = ('{"calculator": "',)
CALCULATOR_WORDS = ("calls", "called")
STREET_PIECES = (
    '{"current observation": "', '", "current instruction": "', '", "action": "', '"}',
    "forward()", "stop()", "turn_direction(", ')"}', "slightly left", "slightly right",
    "<think>", "</think>\n<answer>", "</answer>", "; ",
)  # fmt: skip
STREET_WORDS = (
    "rule", "free", *(rule.value for rule in Rule), "turn", "until", "goal", "did", "now",
    "heading", "ways", "nothing", "intersection", "forward", "stop",
    "right", "wrong", "illegal", "missing", "moved", "turned", "blocked",
    *COMPASS, "left", "front", "behind", *LANDMARK_WORDS,
)  # fmt: skip
MAP_PIECES = ('{"map": "',)
MAP_WORDS = ("maps", "map", "here")
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


@dataclass(frozen=True, slots=True)
class Language:
    """What a vocabulary holds. numbers: those below are one token each."""

    numbers: int
    words: tuple[str, ...]
    pieces: tuple[str, ...]


LANGUAGES = {
    Vocabulary.cards: Language(100, CARD_WORDS, CARD_PIECES),
    Vocabulary.thoughts: Language(
        100, (*CARD_WORDS, *THOUGHT_WORDS), (*CARD_PIECES, *THOUGHT_PIECES)
    ),
    Vocabulary.tools: Language(
        100,
        (*CARD_WORDS, *THOUGHT_WORDS, *CALCULATOR_WORDS),
        (*CARD_PIECES, *THOUGHT_PIECES, *CALCULATOR_PIECES),
    ),
    Vocabulary.streets: Language(360, STREET_WORDS, STREET_PIECES),
    Vocabulary.street_tools: Language(
        360, (*STREET_WORDS, *MAP_WORDS), (*STREET_PIECES, *MAP_PIECES)
    ),
}


def build_tokenizer(
    max_length: int = 1024,
    vocabulary: Vocabulary = Vocabulary.cards,
    more_special: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template; the same ids in every process and version.

    more_special: further special tokens, after all others.
    """
    spoken = LANGUAGES[vocabulary]
    numbers = map(str, range(spoken.numbers))
    tokens = (*SPECIAL_TOKENS, *numbers, *spoken.words, *SYMBOLS, *spoken.pieces, *more_special)
    ids = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    core = Tokenizer(models.WordLevel(ids, unk_token=UNK))
    # `invert` makes the pattern say what to keep; everything between matches (spaces) is removed.
    core.pre_tokenizer = pre_tokenizers.Split(Regex(_pattern(spoken)), "removed", invert=True)
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token=UNK,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, IMAGE, *more_special],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _pattern(spoken: Language) -> str:
    longest_first = sorted(spoken.pieces, key=len, reverse=True)
    escaped = ["".join("\\" + c if c in "{}[]()" else c for c in piece) for piece in longest_first]
    number = r"(?<!\d)(?:[1-9]\d|\d)(?!\d)|\d"  # a number of up to two digits, else its digits
    if spoken.numbers == 360:
        number = rf"(?<!\d)(?:[12]\d\d|3[0-5]\d)(?!\d)|{number}"
    return "|".join([*escaped, number, "[A-Za-z_]+", r"[^\s\w]", r"\w"])
