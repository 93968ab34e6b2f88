"""Character error rate: how many letters have to be put in, taken out or changed until a text is as it should be."""

from collections.abc import Sequence


def character_error_rate(made: Sequence[str], references: Sequence[str]) -> float:
    """The edits of all pairs together as a share of the letters of the references; 0 is best, above 1 is possible.

    Source: Morris et al. 2004, "From WER and RIL to MER and WIL", equation 1, of characters.
    """
    edits = sum(edit_distance(one, other) for one, other in zip(made, references, strict=True))
    return edits / max(1, sum(map(len, references)))


def edit_distance(one: str, other: str) -> int:
    """The fewest insertions, deletions and substitutions of a letter that make one text the other.

    Source: Wagner & Fischer 1974, "The string-to-string correction problem", section 3.
    """
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        above, row[0] = row[0], place
        for column, wanted in enumerate(other, start=1):
            above, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, above + (letter != wanted))
    return row[-1]
