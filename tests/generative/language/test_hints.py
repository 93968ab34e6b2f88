"""What an encoder is told beside a text: rare words out of the dictionary, and what the closest known text became."""

from generative.language.hints import Hints, closest_known

# Every name saw a lamp of its own, told four times in group 0, and a sea of its own, told four times in group 1.
LAMPS = [(f"and {name} saw the lamp{name}", f"y {name} vió lámpara{name}") for name in "abcdefghij"]
SEAS = [(f"and {name} saw the sea{name}", f"y {name} vió mar{name}") for name in "abcdefghij"]
FILLER = [
    (f"and so it {word} {number}", f"y así {word}ó {number}") for number in range(200) for word in ("went", "came")
]


def hints() -> Hints:
    pairs = (LAMPS + SEAS) * 4 + FILLER
    groups = ([0] * len(LAMPS) + [1] * len(SEAS)) * 4 + [2] * len(FILLER)
    return Hints.fit([one for one, _ in pairs], [other for _, other in pairs], groups)


def test_rare_words_are_looked_up_and_common_ones_are_left() -> None:
    told = hints().beside(["and a saw the lampa, it went"], group=9)[0]
    assert told.split("\n")[0] == "and a saw the lámparaa, it went"


def test_the_closest_text_is_of_another_group() -> None:
    known = hints()
    closest = {group: closest_known(known.beside(["and c saw the lampc"], group)[0]) for group in (9, 1, 0)}
    assert closest == {9: "y c vió lámparac", 1: "y c vió lámparac", 0: "y c vió marc"}
