"""What the laboratory says, without the words."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a family is: its name, how it works, what it is good and bad at, and the papers that it follows."""

    name: str
    idea: str
    strengths: str
    papers: str


@dataclass(frozen=True, slots=True)
class LaboratoryTexts:
    """The texts of one language."""

    hint: str
    family: str
    families: Mapping[str, Explanation]
    explanation: str
    strengths: str
    papers: str
    samples: str
    explore: str
    train: str
    anomaly: str
    seed: str
    kind: str
    any_kind: str
    caption: str
    caption_help: str
    draw: str
    not_shipped: str
    image: str
    other_image: str
    noise: str
    original: str
    noisy: str
    reconstructed: str
    codes: str
    codes_help: str
    between: str
    midpoint: str
    one_way: str
    other_way: str
    position: str
    contest: str
    contest_help: str
    real_logits: str
    drawn_logits: str
    noising: str
    denoising: str
    step: str
    left_half: str
    inpainted: str
    pixels_known: str
    completed: str
    likelihood: str
    coloured: str
    grey: str
    back: str
    listen: str
    data: str
    data_names: Mapping[str, str]
    own_text: str
    steps: str
    start: str
    stop: str
    loss: str
    accuracy: str
    held_out: str
    reading: str
    training: str
    trained: str
    rate: str
    left: str
    upload: str
    upload_hint: str
    invert: str
    score: str
    threshold: str
    anomalous: str
    normal: str
    seen_as: str
