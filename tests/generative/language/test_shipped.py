"""What the language models that come with Fuente can do."""

import torch

from generative import load, shipped
from generative.image_data import Images
from generative.language.masked import MASK, Masked
from generative.language.telephone import dialled, tones
from generative.language.transformer import TransformerFamily
from generative.language.translator import Translator
from generative.language.unified import Unified, digit_words


def opened(name: str, data: str, kind: type) -> object:
    path = shipped(name, data)
    assert path is not None
    assert path.stat().st_size <= 2_000_000
    family = load(path, device="cpu")
    assert isinstance(family, kind)
    return family


def test_the_transformer_knows_the_words_of_its_text() -> None:
    family = opened("transformer", "reina-valera", TransformerFamily)
    assert isinstance(family, TransformerFamily)
    said = family.characters.encode("\nY dijo Jehová á Moisés: Habla á los hijos de Israel")[None]
    mixed = said[:, torch.randperm(said.shape[1], generator=torch.Generator().manual_seed(0))]
    right, wrong = (float(family.score(one)) for one in (said, mixed))
    assert right < 1.4 < 3 < wrong
    family.sampling = family.sampling.changed({"temperature": 0.0})
    ids = family.sample(1, condition="\nY dijo Jehov", length=1)[0]
    assert family.characters.decode(ids.tolist()).endswith("Jehová")


def test_the_masked_model_fills_in_from_both_sides() -> None:
    family = opened("masked", "reina-valera", Masked)
    assert isinstance(family, Masked)
    told, sons = family.fill_in(f"Y habló Jehová á {MASK}, diciendo: Habla á los hijos de {MASK}.")
    assert (told[0][0], sons[0][0]) == (" Moisés", " Israel")
    assert "tierra" in family.fill_in(f"En el principio crió Dios los cielos y la {MASK}.")[0][0][0]


def test_the_corrector_mends_slips_and_leaves_the_rest() -> None:
    family = opened("translator", "typos-es", Translator)
    assert isinstance(family, Translator)
    right = ["Y dijo Jehová á Moisés:", "y los hijos de Israel", "que estaba en la casa de su padre"]
    assert family.translate(right) == right
    slips = ["Y dijo Jehoa a Moises:", "y los ijos de Israel", "que estava en la casa dee su padre"]
    assert family.translate(slips) == right


def test_the_unified_model_continues_words_pictures_and_sounds() -> None:
    family = opened("unified", "digits", Unified)
    assert isinstance(family, Unified)
    tokens, words = family.tokeniser, digit_words()
    rung = family.sing([tokens.prompt("text", tokens.encode_text(word)) for word, _, _ in words])
    assert torch.equal(dialled(rung), torch.arange(10))
    heard = tokens.encode_sounds(tones(torch.arange(10), 0.5, torch.Generator().manual_seed(0))).tolist()
    assert all(
        said in words[digit] for digit, said in enumerate(family.say([tokens.prompt("sound", ids) for ids in heard]))
    )
    test = family.open_data("digits").test
    assert isinstance(test, Images)
    seen = family.say([tokens.prompt("image", ids) for ids in tokens.encode_images(test.x[:60]).tolist()])
    assert sum(said in words[digit] for said, digit in zip(seen, test.y[:60].tolist(), strict=True)) > 36
