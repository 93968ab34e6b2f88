"""The laboratory in English."""

from ui.texts.laboratory import Explanation, LaboratoryTexts

LABORATORY_EN = LaboratoryTexts(
    hint="Small generative models to open, move and train right here, on digits of 8×8 pixels and on texts.",
    family="Family",
    families={
        "autoencoder": Explanation(
            "Autoencoder",
            "One network squeezes an image into a few numbers, its code, and another draws it again from them. Only "
            "what "
            "fits into the code survives, so it learns what matters. Given dirty images and asked for clean ones, it "
            "learns to take noise out as well.",
            "Compresses and cleans very well. It does not know which codes are plausible: invented ones give broken "
            "drawings.",
            "Hinton and Salakhutdinov (2006); Vincent et al. (2008)",
        ),
        "vae": Explanation(
            "Variational autoencoder",
            "The code is no longer a point but a cloud of probability, and all clouds together fill a space that is "
            "known. So any point of it can be drawn, and one can walk between two images: half-way is their exact "
            "midpoint. What the model explains badly scores high.",
            "Blends, interpolates and finds what is odd. Its drawings are a little blurred: it averages what it "
            "cannot tell apart.",
            "Kingma and Welling (2014); Burda et al. (2016)",
        ),
        "gan": Explanation(
            "Generative adversarial networks",
            "Two networks compete: one draws from noise, the other decides whether what it sees is real or drawn. Each "
            "learns from the other. Once the second is right no more often than a coin, the drawing passes; here a "
            "fresh "
            "critic, who has not played, has to confirm it.",
            "Sharp images, quickly made. Training is delicate: they may end up drawing the same thing again and again.",
            "Goodfellow et al. (2014); Miyato et al. (2018); Mescheder et al. (2018)",
        ),
        "autoregressive": Explanation(
            "Autoregressive model",
            "It draws pixel by pixel, each depending on those that are there. Multiplied, these probabilities say "
            "exactly "
            "how likely a whole image is. This one has learned all orders at once, so it completes an image wherever "
            "something is missing.",
            "Exact probabilities, no bounds. It is slow: one step a pixel.",
            "Uria, Murray and Larochelle (2014); Germain et al. (2015)",
        ),
        "diffusion": Explanation(
            "Diffusion model",
            "Images are spoilt with noise, little by little, until nothing is left, and a network learns to undo one "
            "single step. Starting from noise alone and undoing all of them, a new image appears. It can be told "
            "what to "
            "draw, by class or in words.",
            "The best drawings and the most varied. It needs many steps an image.",
            "Ho et al. (2020); Song et al. (2021); Ho and Salimans (2022)",
        ),
        "recolour": Explanation(
            "Image to image",
            "The generator starts not from noise but from another image: it takes colour away and puts it back. The "
            "discriminator sees both and judges whether they belong together. To give the colour back it has to "
            "recognise the digit, as each has its own here.",
            "Changes an image and keeps its shape. It invents where the input does not say enough.",
            "Isola et al. (2017)",
        ),
        "sound": Explanation(
            "Sound",
            "The same diffusion, but the image is the spectrum of a short tone: which frequencies sound at which "
            "moment. "
            "From the spectrum that was drawn comes a wave that can be heard.",
            "Shows that the method is not for images only. These are tones of a tenth of a second, no more.",
            "Ho et al. (2020); Griffin and Lim (1984)",
        ),
    },
    explanation="How it works",
    strengths="What it is good for",
    papers="Papers",
    samples="Samples",
    explore="Explore",
    train="Train",
    anomaly="Is it odd?",
    seed="Seed",
    kind="Class",
    any_kind="Any",
    caption="Caption",
    caption_help="In English, Spanish or Portuguese: “a handwritten seven”, “dibuja un siete”, “desenhe um sete”.",
    draw="Draw",
    not_shipped="There is no trained model of this family yet. Train one: {command}",
    image="Image",
    other_image="Other image",
    noise="Noise",
    original="Original",
    noisy="With noise",
    reconstructed="Drawn again",
    codes="Move the code",
    codes_help="Each slider is one number of the code; the image is what the model draws from them.",
    between="Between two images",
    midpoint="The one in the middle is the exact midpoint of both.",
    one_way="One way",
    other_way="Another way",
    position="Path",
    contest="The contest of the two networks",
    contest_help="How often the discriminator is right; 0.5 is a coin.",
    real_logits="How real the real ones look to it",
    drawn_logits="How real the drawn ones look to it",
    noising="From image to noise",
    denoising="From noise to image",
    step="Step",
    left_half="The left half is kept and the rest is drawn",
    inpainted="Filled in",
    pixels_known="Rows that are kept",
    completed="Filled in",
    likelihood="{nats} nats: the fewer, the likelier",
    coloured="In colour",
    grey="In grey",
    back="Back in colour",
    listen="Listen",
    data="Data",
    data_names={
        "reina-valera": "Reina-Valera, 1909 (Spanish)",
        "king-james": "King James (English)",
        "numbers-en-es": "Numbers in words, English to Spanish",
        "numbers-es-pt": "Numbers in words, Spanish to Portuguese",
        "typos-es": "Slips of typing put right (Spanish)",
        "own": "A text of yours (.txt)",
    },
    own_text="Your text, in UTF-8; the longer it is, the more is learnt",
    steps="Steps",
    start="Train from scratch",
    stop="Stop",
    loss="Loss",
    accuracy="Accuracy",
    held_out="{name} (held out)",
    reading="Reading the data",
    training="Training: step {step} of {total}",
    trained="Trained: {steps} steps in {seconds} s",
    rate="{rate} steps a second",
    left="{seconds} s left",
    upload="Image to score",
    upload_hint="A handwritten digit, anywhere on the picture. Its stroke is cut out and reduced to 8×8.",
    invert="Dark stroke on a light ground",
    score="Score",
    threshold="Threshold",
    anomalous="Odd: above the threshold that only 5% of normal images exceed.",
    normal="Normal: not above the threshold.",
    seen_as="What the model sees",
)
