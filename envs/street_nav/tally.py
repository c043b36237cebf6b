"""What the answers of an episode earned."""

import operator

from .config import EpisodeReturn, Mode, StreetNavConfig


class Tally:
    """Rewards of one episode's answers, and how many of them were right."""

    def __init__(self) -> None:
        self._rewards: list[float] = []
        self._num_right = 0

    def add(self, reward: float, correct: bool) -> None:
        """Count an answer."""
        self._rewards.append(reward)
        self._num_right += correct

    @property
    def accuracy(self) -> float:
        """Share of the answers that were right; there must be one."""
        return self._num_right / len(self._rewards)

    def episode_return(self, config: StreetNavConfig, spent: float, num_places: int) -> float:
        """The discounted sum, the sum, or on the rail the mean over its places.

        spent: what calls cost, less of the sum. The study divides by the route's places, not by
        the answers given.
        """
        if config.episode_return is EpisodeReturn.discounted:
            shares = (config.discount**turn for turn in range(len(self._rewards)))
            return sum(map(operator.mul, shares, self._rewards)) - spent
        whole = sum(self._rewards) - spent
        if config.episode_return is EpisodeReturn.sum or config.mode is Mode.free:
            return whole
        return whole / num_places
