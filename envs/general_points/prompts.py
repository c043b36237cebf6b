"""What General Points says: the prompt, and the verifier's feedback, in two styles.

`study` asks in sentences for the fields of the paper. `compact` says the same in at most 40 words
for tiny policies with a word-level vocabulary:

    rule J = 10 Q = 10 K = 10 target 24 cards 5 J 3 A
    rule J = 11 Q = 12 K = 13 A = 14 use + - * target 24 cards 5 J 3 A last ( 5 - 1 ) * 3 wrong

Its words are rule use target cards last wrong right again unused invalid illegal missing value, the
ranks, whole numbers and ( ) + - * / =. In image mode no style lists the cards. Later observations
repeat the task, so that each can be answered by itself.

With a calculator the prompt says how many calls there are, and later observations what it said:

    rule J = 10 Q = 10 K = 10 calls 2 target 24 cards 5 J 3 A called 10 * 3 value 30

Departure from the study's code: feedback never holds a part of a solution.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .calculator import Calculation
from .cards import FACES, RANK_INDEX, RANKS
from .config import AnswerFormat, FeedbackKind, Modality, PromptStyle
from .expression import show_rational
from .reward import Assessment, GeneralPointsOutcome
from .rules import OPERATORS, Rule
from .task import Task

MAX_WORDS = 40  # of a compact observation: a last formula that does not fit is not repeated


@dataclass(frozen=True, slots=True)
class PromptFrame:
    """A prompt but for its cards, which stand between `before` and `after`; none if no `join`."""

    before: str
    join: str | None
    after: str = ""

    def fill(self, ranks: Sequence[str]) -> str:
        """The prompt of one hand."""
        cards = "" if self.join is None else self.join.join(ranks)
        return f"{self.before}{cards}{self.after}"


def prompt_text(
    task: Task,
    style: PromptStyle = PromptStyle.study,
    modality: Modality = Modality.text,
    answer: AnswerFormat = AnswerFormat.json,
    calls: int = 0,
) -> str:
    """The task as the agent sees it first. calls: of the calculator, in the whole episode."""
    frame = prompt_frame(task.rule, task.target, len(task.ranks), style, modality, answer, calls)
    return frame.fill(task.ranks)


def prompt_frame(
    rule: Rule,
    target: int,
    num_cards: int,
    style: PromptStyle,
    modality: Modality,
    answer: AnswerFormat,
    calls: int = 0,
) -> PromptFrame:
    """What the prompts of all hands of one environment have in common."""
    if style is PromptStyle.compact:
        return _compact_frame(rule, target, modality, calls)
    return _study_frame(rule, target, num_cards, modality, answer, calls)


def feedback_text(assessment: Assessment, kind: FeedbackKind, style: PromptStyle) -> str:
    """The verifier's message about one answer; it never contains any part of a solution."""
    if style is PromptStyle.compact:
        return _compact_feedback(assessment, kind)
    return _study_feedback(assessment, kind)


def revision_text(prompt: str, assessment: Assessment, feedback: str, style: PromptStyle) -> str:
    """A self-contained later observation: the prompt, the last formula and the feedback."""
    words = assessment.formula.tokens
    if style is PromptStyle.compact:
        room = MAX_WORDS - 3 - prompt.count(" ") - feedback.count(" ")  # "last" and two last words
        last = ["last", *words] if 0 < len(words) <= room else []
        return " ".join([prompt, *last, feedback])
    last_line = f"Your last formula was: {' '.join(words)}\n" if words else ""
    return f"{prompt}\n\n{last_line}{feedback}"


def call_text(found: Calculation, calls_left: int, style: PromptStyle) -> str:
    """What the calculator says to one call."""
    if style is PromptStyle.compact:
        return "illegal" if found.value is None else f"value {_spaced(found.value)}"
    said = (
        f"The calculator could not read that: {found.error}."
        if found.value is None
        else (f"The calculator says: {_equation(found)}.")
    )
    return f"{said} Calls left: {calls_left}."


def over_budget_text(style: PromptStyle) -> str:
    """The verifier's message to a call when none is left."""
    if style is PromptStyle.compact:
        return "wrong calls 0"
    return "No calls of the calculator are left, and this is no answer. Answer again."


def with_calls(text: str, told: Sequence[Calculation], style: PromptStyle) -> str:
    """A self-contained observation with what the calculator has said in this episode."""
    if not told:
        return text
    known = [each for each in told if each.value is not None]
    if style is PromptStyle.compact:
        said = [f"called {each.expression} value {_spaced(each.value or '')}" for each in known]
        return " ".join([text, *said, *["called illegal"] * (len(told) - len(known))])
    said = [_equation(each) for each in known]
    unread = len(told) - len(known)
    said += [f"{unread} call{'s' * (unread != 1)} that could not be read"] * bool(unread)
    return f"{text}\n\nThe calculator was asked: {'; '.join(said)}."


def legend_text(task: Task, calls: int = 0) -> str:
    """For a person who plays, whatever the prompt's style: the rule, and an example of an answer.

    The example is about the cards 2, 3, ... and not about the hand.
    """
    rule = task.rule
    worth = ", ".join(f"{rank} = {value}" for rank, value in _stated_values(rule))
    ranks = RANKS[1 : 1 + len(task.ranks)]
    values = [rule.value_table[RANK_INDEX[rank]] for rank in ranks]
    signs = [rule.allowed[k % len(rule.allowed)] for k in range(len(values) - 1)]
    shown = [f"({value})" if value < 0 else str(value) for value in values]
    formula = "".join(f"{value}{sign}" for value, sign in zip(shown, [*signs, ""], strict=True))
    whole = json.dumps({"cards": list(ranks), "number": values, "formula": formula})
    return "\n".join(
        [
            f"Rule {rule.name}: {worth}. {_OTHER_VALUES}",
            f"Make {task.target} from every card exactly once, with {' '.join(rule.allowed)} and "
            "parentheses.",
            f"Type a formula over the values, as in {formula} for the cards {' '.join(ranks)},",
            f"or the whole answer, which says what you read too: {whole}",
            *[f"= {formula} asks the calculator for a value, {calls} times a hand."] * bool(calls),
        ]
    )


def _compact_frame(rule: Rule, target: int, modality: Modality, calls: int) -> PromptFrame:
    values = " ".join(f"{rank} = {value}" for rank, value in _stated_values(rule))
    operators = rule.allowed
    use = "" if len(operators) == len(OPERATORS) else " use " + " ".join(operators)
    offered = f" calls {calls}" if calls else ""
    before = f"rule {values}{use}{offered} target {target}"
    if modality is Modality.image:
        return PromptFrame(before, None)
    return PromptFrame(f"{before} cards ", " ")


def _stated_values(rule: Rule) -> list[tuple[str, int]]:
    """The faces always, then what else is not worth its pips."""
    table = rule.value_table
    stated = [(rank, table[RANK_INDEX[rank]]) for rank in FACES]
    others = [rank for rank in RANKS if rank not in FACES]
    pips = [(rank, table[i]) for i, rank in enumerate(others) if table[i] != i + 1]
    return stated + pips


def _study_frame(
    rule: Rule,
    target: int,
    num_cards: int,
    modality: Modality,
    answer: AnswerFormat,
    calls: int,
) -> PromptFrame:
    values = ", ".join(f"{rank} = {value}" for rank, value in _stated_values(rule))
    operators = " ".join(rule.allowed)
    lines = [
        f"Combine the values of {num_cards} playing cards into a formula that equals {target}.",
        f"Use every card exactly once, with parentheses and the operators {operators} only.",
        f"Card values: {values}. {_OTHER_VALUES}",
    ]
    shown = modality is Modality.image
    lines.append("The cards are shown in the picture." if shown else "Cards: ")
    asked = ["", "", _ANSWER_REQUEST[answer], _fields(target, answer)]
    if answer is AnswerFormat.tagged:
        asked.append("</answer>")
    if calls:
        asked += ["", _CALCULATOR.format(times=f"{calls} time{'s' * (calls != 1)}")]
    return PromptFrame("\n".join(lines), None if shown else ", ", "\n".join(asked))


_CALCULATOR = (
    "Before you answer you may ask a calculator, up to {times}. To ask it, reply with nothing but "
    'a JSON object of the form {{"calculator": "an expression"}}; you are told its value.'
)
_OTHER_VALUES = "Any other number card is worth its number, an ace 1 unless stated otherwise."
_ANSWER_REQUEST = {
    AnswerFormat.json: "Answer with a JSON object of this form:",
    AnswerFormat.steps: "Answer with a JSON object of this form:",
    AnswerFormat.tagged: (
        "Reason inside <think> and </think>, then answer with a JSON object of this form:\n<answer>"
    ),
}


def _fields(target: int, answer: AnswerFormat) -> str:
    working = '"steps": "the working, one operation at a time", '
    return (
        '{"cards": [the rank of each card, as a string], '
        '"number": [the value of each card], '
        f"{working if answer is AnswerFormat.steps else ''}"
        f'"formula": "a formula over these numbers, ={target}"}}'
    )


def _compact_feedback(assessment: Assessment, kind: FeedbackKind) -> str:
    if assessment.success:
        return "right"
    if kind is FeedbackKind.none:
        return "again"
    if kind is FeedbackKind.verdict:
        return "wrong"
    outcome = assessment.outcome
    if outcome is GeneralPointsOutcome.no_answer:
        return "wrong missing"
    if outcome is GeneralPointsOutcome.illegal_formula:
        return "wrong illegal"
    if outcome is GeneralPointsOutcome.wrong_value:
        return f"wrong value {_short_value(assessment)}".rstrip()
    return " ".join(["wrong", *_listed("unused", assessment.unused), *_invalid(assessment)])


def _study_feedback(assessment: Assessment, kind: FeedbackKind) -> str:
    if assessment.success:
        return "Correct."
    if kind is FeedbackKind.none:
        return "Answer again."
    said = "The formula is incorrect."
    if kind is FeedbackKind.detail:
        said = " ".join([said, *_study_detail(assessment)])
    return f"{said} Answer again."


def _study_detail(assessment: Assessment) -> list[str]:
    outcome = assessment.outcome
    if outcome is GeneralPointsOutcome.no_answer:
        return ["No answer with a formula was found."]
    if outcome is GeneralPointsOutcome.illegal_formula:
        return ["It is not a legal formula."]
    if outcome is GeneralPointsOutcome.wrong_value:
        value = _short_value(assessment)
        return [f"Its value is {value}."] if value else []
    unused = ", ".join(_listed("", assessment.unused)[1:])
    invalid = ", ".join(_invalid(assessment)[1:])
    return [f"Unused numbers: {unused}."] * bool(unused) + [f"Invalid numbers: {invalid}."] * bool(
        invalid
    )


def _listed(name: str, numbers: tuple[int, ...]) -> list[str]:
    return [name, *[str(number) for number in numbers]] if numbers else []


def _invalid(assessment: Assessment) -> list[str]:
    return _listed("invalid", assessment.invalid[:_MAX_LISTED])


def _equation(found: Calculation) -> str:
    return f"{found.expression} = {found.value}"


def _spaced(value: str) -> str:
    """One word a sign: `-7/3` as `- 7 / 3`."""
    return " ".join(_SIGNED.findall(value))


def _short_value(assessment: Assessment) -> str:
    """The formula's value; nothing where it is long."""
    shown = show_rational(assessment.formula.value)
    return shown if len(shown) <= _MAX_VALUE_CHARS else ""


_MAX_LISTED = 4  # invalid numbers
_MAX_VALUE_CHARS = 16
_SIGNED = re.compile(r"[0-9]+|[-/]")
