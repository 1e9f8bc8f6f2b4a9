"""Errors collected in one pass, so that a user sees all of them and not the first only."""

from horsies.errors.diagnostic import HorsiesError, colors_wanted


class ValidationReport:
    """The errors one validation pass has found so far.

    Attributes:
        phase_name: What was validated, for headings and logs.
        errors: The errors, in the order they were found.
    """

    __slots__ = ("errors", "phase_name")

    def __init__(self, phase_name: str) -> None:
        self.phase_name = phase_name
        self.errors: list[HorsiesError] = []

    def add(self, error: HorsiesError) -> None:
        """Keep an error; one that holds several is taken apart."""
        if isinstance(error, MultipleValidationErrors):
            self.errors += error.report.errors
        else:
            self.errors.append(error)

    def has_errors(self) -> bool:
        """Whether anything was found."""
        return bool(self.errors)

    def format_rust_style(self, use_colors: bool | None = None) -> str:
        """All errors as text and how many there are; empty without errors.

        Args:
            use_colors: As in `HorsiesError.format_rust_style`.
        """
        if not self.errors:
            return ""
        colors = colors_wanted() if use_colors is None else use_colors
        count = len(self.errors)
        total = f"error: aborting due to {count} previous error{'s' if count > 1 else ''}"
        if colors:
            total = f"\x1b[1;31m{total}\x1b[0m"
        return "\n".join([*(error.format_rust_style(colors) for error in self.errors), "", total])


class MultipleValidationErrors(HorsiesError):  # noqa: N818  (the public name is part of the contract)
    """A validation pass found two or more errors; `report` holds them."""

    def __init__(self, report: ValidationReport) -> None:
        super().__init__(f"{len(report.errors)} errors in {report.phase_name}")
        self.args = (report,)
        self.location = None
        self.report = report

    def format_rust_style(self, use_colors: bool | None = None) -> str:
        """All errors as text, then how many there are."""
        return self.report.format_rust_style(use_colors)


def raise_collected(report: ValidationReport) -> None:
    """Raise what a pass has found: nothing, the only error itself, or all of them together.

    Raises:
        HorsiesError: The single error found.
        MultipleValidationErrors: Two or more errors were found.
    """
    if len(report.errors) == 1:
        raise report.errors[0]
    if report.errors:
        raise MultipleValidationErrors(report)
