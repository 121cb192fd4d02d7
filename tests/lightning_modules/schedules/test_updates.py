import pytest
import torch

from lightning_modules.schedules.updates import AdaptiveUpdates, FixedUpdates, UpdateSchedule


def play(schedule: UpdateSchedule, accuracies: list[float]) -> str:
    """One letter per update, c or g, while the given accuracies last; a g ends each training batch."""
    order = ""
    for accuracy in accuracies:
        if schedule.critic_is_next():
            order += "c"
            schedule.after_critic(accuracy)
        else:
            order += "g"
            schedule.after_generator(accuracy)
    return order


def test_fixed():
    assert play(FixedUpdates(5), [0.5] * 12) == "cccccgcccccg"
    assert play(FixedUpdates(1), [0.5] * 4) == "cgcg"


def test_the_critic_trains_until_it_rejects_and_the_generator_until_it_is_accepted():
    schedule = AdaptiveUpdates(0.9, 0.6, max_critic_steps=10, max_generator_steps=10)
    assert play(schedule, [0.5, 0.8, 0.95, 0.9, 0.7, 0.6, 0.5, 0.9]) == "cccgggcc"


def test_limits_when_the_critic_never_rejects():
    assert play(AdaptiveUpdates(0.9, 0.6, 3, 2), [0.5] * 8) == "cccgcccg"


def test_limits_when_the_generator_is_never_accepted():
    assert play(AdaptiveUpdates(0.9, 0.6, 3, 2), [1.0] * 9) == "cggcggcgg"


def test_a_critic_turn_never_outlasts_the_parts_of_a_batch():
    torch.manual_seed(0)
    schedule = AdaptiveUpdates(0.9, 0.6, 3, 4)
    order = play(schedule, torch.rand(500).tolist())
    assert max(map(len, order.split("g"))) == schedule.max_critic_steps
    assert max(map(len, order.split("c"))) <= 4


def test_where_it_stands_is_saved():
    first, second = AdaptiveUpdates(0.9, 0.6, 5, 5), AdaptiveUpdates(0.9, 0.6, 5, 5)
    play(first, [0.95, 0.8, 0.8])
    second.load_state_dict(first.state_dict())
    assert play(second, [1.0] * 6) == play(first, [1.0] * 6) == "gggcgg"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedUpdates(0), "critic_steps is 0, so the critic would never train"),
        (
            lambda: AdaptiveUpdates(max_critic_steps=0),
            "max_critic_steps is 0, so the critic would never train",
        ),
        (
            lambda: AdaptiveUpdates(max_generator_steps=0),
            "max_generator_steps is 0, so the generator would never",
        ),
        (lambda: AdaptiveUpdates(0.5, 0.6), "accept_below is 0.6 and reject_above 0.5, so one side would"),
        (lambda: AdaptiveUpdates(1.1, 0.6), "reject_above 1.1"),
    ],
)
def test_a_schedule_that_never_trains_one_side(make, message):
    with pytest.raises(ValueError, match=message):
        make()
