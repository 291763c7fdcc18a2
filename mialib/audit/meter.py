"""How many rows a service is asked, and how fast: a budget and a rate, counted in rows."""

from time import monotonic, sleep


class BudgetSpent(ValueError):
    """More rows were wanted than the budget has left; none of them was sent. used, asked, allowed: rows."""

    def __init__(self, used: int, asked: int, allowed: int) -> None:
        self.used, self.asked, self.allowed = used, asked, allowed
        super().__init__(
            f"max_queries = {allowed} allows {allowed - used} rows more, got {asked} ({used} used, {asked} asked, {allowed} "
            "allowed): ask fewer, or raise max_queries"
        )

    def __reduce__(self) -> tuple[type, tuple[int, int, int]]:
        return type(self), (self.used, self.asked, self.allowed)


class Meter:
    """Counts the rows that a service was asked. allowed: at most so many (None: any number); per_second: so many a second."""

    def __init__(self, allowed: int | None, per_second: float | None) -> None:
        self.allowed, self.per_second = allowed, per_second
        self.used = 0
        self.paused = 0.0  # seconds
        self._next = 0.0

    def admit(self, rows: int) -> None:
        """Raise BudgetSpent unless `rows` more are within the budget."""
        if self.allowed is not None and self.used + rows > self.allowed:
            raise BudgetSpent(self.used, rows, self.allowed)

    def pace(self, rows: int) -> None:
        """Wait until `rows` more are within the rate."""
        if self.per_second is None or not rows:
            return
        self.pause(self._next - monotonic())
        self._next = monotonic() + rows / self.per_second

    def pause(self, seconds: float) -> None:
        """Sleep, and note for how long."""
        if seconds > 0:
            sleep(seconds)
            self.paused += seconds

    def count(self, rows: int) -> None:
        """Note that `rows` more were asked (fewer than 0: that they were not, after all)."""
        self.used += rows
