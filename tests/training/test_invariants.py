"""Every invariant holds, and the check of each fails when a bug that breaks it is planted."""

import invariants as of_losses
import picture_invariants as of_pictures
import pytest
import resume_invariants as of_resuming
import row_invariants as of_rows
import run_invariants as of_runs
import update_invariants as of_updates
from invariants import INVARIANTS, Check
from picture_invariants import PICTURE_INVARIANTS
from planted_bugs import BUGS, Bug
from planted_picture_bugs import PICTURE_BUGS
from planted_resume_bugs import RESUME_BUGS
from planted_run_bugs import RUN_BUGS
from planted_update_bugs import UPDATE_BUGS
from resume_invariants import RESUME_INVARIANTS
from row_invariants import ROW_INVARIANTS
from run_invariants import RUN_INVARIANTS
from update_invariants import UPDATE_INVARIANTS

CHECKS = (
    *INVARIANTS, *UPDATE_INVARIANTS, *ROW_INVARIANTS, *PICTURE_INVARIANTS, *RUN_INVARIANTS,
    *RESUME_INVARIANTS,
)  # fmt: skip
PLANTED = (*BUGS, *UPDATE_BUGS, *RUN_BUGS, *PICTURE_BUGS, *RESUME_BUGS)

# What must hold of any trainer of this kind, and what is checked of it.
SHEET: dict[str, tuple[Check, ...]] = {
    "1 the ratio is 1 at the first update; no dropout; one temperature for all": (
        of_losses.the_ratio_is_one_at_the_first_update,
        of_updates.one_temperature_for_sampler_present_old_and_reference,
        of_losses.later_updates_compare_with_the_rollouts_probabilities,
        of_losses.the_clipped_surrogate_never_promises_more_than_the_plain_one,
        of_rows.scores_are_not_random,
    ),
    "2 the sampler's log-probabilities are the trainer's": (
        of_rows.the_sampler_reports_what_the_trainer_scores,
        of_rows.scores_are_those_of_the_whole_model,
        of_pictures.the_sampler_sees_what_the_trainer_sees,
        of_pictures.another_picture_changes_what_is_sampled_and_trained,
        of_pictures.pictures_score_as_in_the_whole_model,
    ),
    "3 on-policy, every surrogate and aggregation has REINFORCE's gradient": (
        of_losses.on_policy_every_surrogate_is_reinforce,
        of_losses.turns_of_one_episode_weigh_as_one_episode,
    ),
    "4 the penalty is 0 at the start; its gradient is the KL's": (
        of_losses.the_penalty_is_zero_at_the_start_and_has_the_kls_gradient,
        of_updates.a_penalty_in_the_reward_falls_on_its_token_and_those_before,
    ),
    "5 gradients depend on no micro-batch and no number of processes": (
        of_losses.gradients_do_not_depend_on_the_micro_batch,
        of_losses.whole_updates_do_not_depend_on_the_micro_batch,
        of_losses.batch_statistics_span_all_processes,
        of_runs.shares_of_two_processes_add_up_to_the_gradient_of_one,
        of_runs.two_processes_make_the_updates_of_one,
    ),
    "6 what the environment adds leaves returns and values of actions alone": (
        of_losses.environment_tokens_leave_the_advantages_of_actions_alone,
        of_losses.nothing_is_bootstrapped_over_the_end_of_an_episode,
        of_losses.a_late_token_does_not_change_earlier_values,
    ),
    "7 what was not sampled changes nothing; nothing sampled is a finite 0": (
        of_losses.what_was_not_sampled_changes_nothing,
        of_losses.an_all_masked_micro_batch_is_a_finite_zero,
    ),
    "8 the order of members and of rows, with pictures, does not matter": (
        of_losses.the_order_of_members_does_not_matter,
        of_losses.a_groups_rewards_concern_nobody_else,
        of_rows.company_order_and_padding_do_not_change_scores,
    ),
    "9 nor do padding, company, empty slots for pictures and pictures that come later": (
        of_rows.company_order_and_padding_do_not_change_scores,
        of_pictures.text_does_not_see_pictures_that_come_later,
        of_pictures.room_for_more_pictures_changes_nothing,
        of_pictures.sharing_prompts_changes_no_scores,
    ),
    "10 rows are the ids that were sampled, cut where turns begin, with their pictures": (
        of_rows.rows_hold_the_very_ids_that_were_sampled,
        of_pictures.pictures_match_placeholders_at_every_cut,
        of_pictures.a_conversation_grows_and_shows_a_picture_once,
    ),
    "11 nothing is left of an earlier batch, nor of earlier weights": (
        of_rows.nothing_is_left_of_an_earlier_batch,
        of_updates.what_is_sampled_after_an_update_is_of_the_new_weights,
        of_pictures.what_a_frozen_tower_saw_ends_with_its_weights,
    ),
    "12 members, turns, steps and processes draw differently; seeds know no world size": (
        of_losses.members_and_steps_draw_differently,
        of_updates.a_row_draws_from_a_stream_of_its_own,
        of_runs.two_processes_play_the_episodes_of_one,
    ),
    "13 a resumed run is the uninterrupted one, also between updates": (
        of_resuming.a_resumed_run_is_the_uninterrupted_one,
        of_resuming.a_resumed_run_takes_up_its_data_where_it_was,
        of_resuming.a_resumed_run_of_rollouts_is_the_uninterrupted_one,
        of_resuming.a_resumed_step_makes_the_updates_that_are_left,
    ),
    "14 what is paid becomes likelier; credit finds the turn": (
        of_runs.an_update_makes_likelier_what_was_paid,
        of_runs.only_credit_by_turn_sees_a_reward_that_comes_early,
        of_updates.a_late_reward_reaches_the_answer_that_earned_it,
        of_losses.an_entropy_bonus_raises_the_entropy,
    ),
    "15 a constant reward gives no update, a shift (with a deviation, a scale) changes none": (
        of_losses.a_constant_reward_gives_exactly_zero,
        of_updates.a_constant_reward_moves_no_weights,
        of_runs.a_shift_of_all_rewards_changes_nothing,
        of_updates.a_scale_of_all_rewards_changes_nothing_where_a_deviation_divides,
    ),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_invariant_holds(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch)


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name.replace(" ", "_"))
def test_a_planted_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug.module, bug.attribute, bug.planted)
    with pytest.raises(AssertionError):
        bug.breaks(monkeypatch)


def test_every_invariant_has_a_bug_that_breaks_it() -> None:
    assert {bug.breaks for bug in PLANTED} == set(CHECKS)


def test_every_check_has_its_place_on_the_sheet() -> None:
    assert [int(line.split()[0]) for line in SHEET] == list(range(1, 16))
    assert {check for checks in SHEET.values() for check in checks} == set(CHECKS)
