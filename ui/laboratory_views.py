"""What can be moved about in each family of the laboratory."""

from collections.abc import Callable
from typing import Any

import streamlit as st
import torch

from generative.autoencoder import Autoencoder
from generative.autoregressive import Autoregressive, binary
from generative.diffusion import Denoising, Diffusion
from generative.family import AnyFamily, Split
from generative.gan import Gan
from generative.image_family import ImageFamily
from generative.recolour import Recolour, luma
from generative.sound import RATE_HZ, Sound
from generative.vae import Vae
from ui.experiments import picture, seeded, shown_images
from ui.safe import block
from ui.show import show
from ui.texts.laboratory import LaboratoryTexts

View = Callable[[Any, Split, LaboratoryTexts], None]
_SLIDERS = 6
_FRAMES = 9
# Seeds whose steps are kept in memory.
_KEPT = 8


def samples_view(name: str, family: AnyFamily, split: Split, words: LaboratoryTexts) -> None:
    """Samples of a seed, and of a class or caption where the family knows them."""
    assert isinstance(family, ImageFamily)  # noqa: S101
    left, right = st.columns(2)
    seed = int(left.number_input(words.seed, min_value=0, value=0, step=1, key=f"lab_sample_seed_{name}"))
    condition: Any = None
    if family.conditional:
        names = list(split.about["class_names"])
        kinds = [words.any_kind, *names]
        kind = right.selectbox(words.kind, kinds, key=f"lab_kind_{name}")
        condition = names.index(kind) if kind in names else None
    if isinstance(family, Diffusion):
        text = st.text_input(words.caption, key=f"lab_caption_{name}", help=words.caption_help)
        condition = family.parse_condition(text) if text.strip() else condition
    samples = family.sample(4 if isinstance(family, Sound) else 36, condition=condition, generator=seeded(seed))
    if isinstance(family, Sound):
        _play(family, samples, words)
    else:
        st.image(picture(samples, 9))


def autoencoder_view(family: Autoencoder, split: Split, words: LaboratoryTexts) -> None:
    """Noise added to an image, and the image that comes back."""
    images = shown_images(split)
    number, spread = st.columns(2)
    place = number.slider(words.image, 0, len(images) - 1, 3, key="lab_ae_image")
    noise = spread.slider(words.noise, 0.0, 0.6, 0.25, key="lab_ae_noise")
    x = images.x[place : place + 1]
    noisy = x + noise * torch.randn(x.shape, generator=seeded(place))
    for column, shown, label in zip(
        st.columns(3),
        (x, noisy, family.reconstruct(noisy)),
        (words.original, words.noisy, words.reconstructed),
        strict=True,
    ):
        column.image(picture(shown), caption=label, width=200)


def vae_view(family: Vae, split: Split, words: LaboratoryTexts) -> None:
    """Numbers of a code as sliders, and the way between two images."""
    images = shown_images(split)
    codes = family.encode(images.x)
    st.subheader(words.codes)
    place = st.slider(words.image, 0, len(images) - 1, 3, key="lab_vae_image")
    # The numbers that vary most are those that say something.
    telling = codes.var(0).argsort(descending=True)[:_SLIDERS].tolist()
    code, (pictures, sliders) = codes[place].clone(), st.columns([1, 2])
    for number, index in enumerate(telling, start=1):
        # A new image sets the sliders anew, so its number is part of their names.
        code[index] = sliders.slider(
            f"z{number}", -4.0, 4.0, float(codes[place, index].clamp(-4, 4)), key=f"lab_z_{place}_{index}"
        )
    # On a phone the pictures come above the sliders, where they are seen while one moves.
    pictures.image(picture(family.decode(code[None])), caption=words.reconstructed, width=200)
    pictures.image(picture(images.x[place : place + 1]), caption=words.original, width=100)
    show(block("fu-limits", words.codes_help))
    st.subheader(words.between)
    one, other = (
        column.slider(label, 0, len(images) - 1, start, key=key)
        for column, label, start, key in zip(
            st.columns(2), (words.image, words.other_image), (0, 7), ("lab_from", "lab_to"), strict=True
        )
    )
    st.image(picture(family.interpolate(images.x[one], images.x[other], _FRAMES), _FRAMES))
    show(block("fu-limits", words.midpoint))


def gan_view(family: Gan, split: Split, words: LaboratoryTexts) -> None:
    """Two directions of the noise that images are drawn from, and the contest as it went."""
    names = list(split.about["class_names"])
    kind = st.selectbox(words.kind, names, index=3, key="lab_gan_kind")
    across, along = (
        column.slider(label, -3.0, 3.0, 0.0, key=key)
        for column, label, key in zip(
            st.columns(2), (words.one_way, words.other_way), ("lab_gan_x", "lab_gan_y"), strict=True
        )
    )
    base, one, other = torch.randn(3, family.config.latent, generator=seeded(1))
    path = torch.stack(
        [base + across * one + (along + offset) * other for offset in torch.linspace(-1, 1, _FRAMES).tolist()]
    )
    drawn = family.draw(path, torch.full((_FRAMES,), names.index(kind)))
    st.image(picture(drawn, _FRAMES), caption=words.position)
    st.subheader(words.contest)
    rows = [{"step": point["step"], "accuracy": point["accuracy"], "0.5": 0.5} for point in family.history]
    st.line_chart(rows, x="step", y=["accuracy", "0.5"], height=220)
    show(block("fu-limits", words.contest_help))
    real = shown_images(split, _FRAMES).x
    st.image(picture(torch.cat([real, drawn]), _FRAMES))
    scores = [-float(family.score(images).mean()) for images in (real, drawn)]
    for column, label, value in zip(st.columns(2), (words.real_logits, words.drawn_logits), scores, strict=True):
        column.metric(label, f"{value:+.2f}")


def diffusion_view(family: Diffusion, split: Split, words: LaboratoryTexts) -> None:
    """An image that turns to noise, noise that turns to images, and halves that are filled in."""
    images = shown_images(split)
    st.subheader(words.noising)
    place = st.slider(words.image, 0, len(images) - 1, 3, key="lab_diffusion_image")
    st.image(picture(family.noising(images.x[place : place + 1], _FRAMES, seeded(0)).flatten(0, 1), _FRAMES))
    st.subheader(words.denoising)
    seed = int(st.number_input(words.seed, min_value=0, value=0, step=1, key="lab_diffusion_seed"))
    frames = _denoised(family, seed)
    step = st.slider(words.step, 1, len(frames), len(frames), key="lab_diffusion_step")
    st.image(picture(frames[step - 1].x / 2 + 0.5, _FRAMES), caption=f"t = {frames[step - 1].t}")
    st.subheader(words.inpainted)
    st.image(picture(_filled_in(family, split, seed), _FRAMES), caption=words.left_half)


# Kept, or every move of a slider would make all steps anew.
@st.cache_resource(show_spinner=False, max_entries=_KEPT)
def _denoised(_family: Diffusion, seed: int) -> list[Denoising]:
    return list(_family.denoising(_FRAMES, generator=seeded(seed)))


@st.cache_resource(show_spinner=False, max_entries=_KEPT)
def _filled_in(_family: Diffusion, _split: Split, seed: int) -> torch.Tensor:
    """Images, their left halves, and these filled in: (3 × _FRAMES, C, H, W)."""
    images = shown_images(_split, _FRAMES)
    known = torch.zeros(images.x.shape[1:], dtype=torch.bool)
    known[..., : images.x.shape[-1] // 2] = True
    masked = torch.where(known, images.x, torch.tensor(0.5))
    filled = _family.inpaint(images.x, known, condition=images.y, generator=seeded(seed), rounds=2)
    return torch.cat([images.x, masked, filled])


def autoregressive_view(family: Autoregressive, split: Split, words: LaboratoryTexts) -> None:
    """Images completed from their upper rows, and their exact probabilities."""
    images = shown_images(split)
    left, right = st.columns(2)
    rows = left.slider(words.pixels_known, 0, 8, 3, key="lab_ar_rows")
    seed = int(right.number_input(words.seed, min_value=0, value=0, step=1, key="lab_ar_seed"))
    x = images.x[:_FRAMES]
    known = torch.zeros(8, 8, dtype=torch.bool)
    known[:rows] = True
    completed = family.complete(x, known, condition=images.y[:_FRAMES], generator=seeded(seed)) if rows < 8 else x
    black_white = binary(x).view(x.shape)
    st.image(picture(torch.cat([black_white, torch.where(known, black_white, torch.tensor(0.5)), completed]), _FRAMES))
    place = st.slider(words.image, 0, len(images) - 1, 3, key="lab_ar_image")
    nats = float(family.score(images.x[place : place + 1])[0])
    st.image(
        picture(binary(images.x[place : place + 1]).view(1, 1, 8, 8)),
        caption=words.likelihood.format(nats=f"{nats:.1f}"),
        width=200,
    )


def recolour_view(family: Recolour, split: Split, words: LaboratoryTexts) -> None:
    """Colour, grey, and colour again."""
    images = shown_images(split, 3 * _FRAMES).x
    grey = family.to_grey(images)
    for shown, label in ((images, words.coloured), (grey, words.grey), (family.to_colour(grey), words.back)):
        st.image(picture(shown, _FRAMES), caption=label)
    show(block("fu-limits", f"{words.grey}: {float((grey - luma(images)).abs().mean()):.3f}"))


def sound_view(family: Sound, split: Split, words: LaboratoryTexts) -> None:
    """From noise to a tone of a note."""
    names = list(split.about["class_names"])
    kind = st.selectbox(words.kind, names, index=5, key="lab_sound_kind")
    frames = list(family.denoising(1, condition=names.index(kind), generator=seeded(0)))
    step = st.slider(words.step, 1, len(frames), len(frames), key="lab_sound_step")
    _play(family, frames[step - 1].x / 2 + 0.5, words)


VIEWS: dict[str, View] = {
    "autoencoder": autoencoder_view,
    "vae": vae_view,
    "gan": gan_view,
    "autoregressive": autoregressive_view,
    "diffusion": diffusion_view,
    "recolour": recolour_view,
    "sound": sound_view,
}


def _play(family: Sound, spectra: torch.Tensor, words: LaboratoryTexts) -> None:
    show(block("fu-label", words.listen))
    for column, spectrum, sound in zip(st.columns(len(spectra)), spectra, family.play(spectra), strict=True):
        column.image(picture(spectrum[None].flip(2)), width=150)
        # A player stops at the end: four times over, a tenth of a second can be heard.
        column.audio(sound.repeat(4).numpy(), sample_rate=RATE_HZ)
