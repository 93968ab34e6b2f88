"""Which questions lean on what was said before."""

import pytest

from rag.context_need import needs_context

LEANING = {
    "es": """¿Y en qué año? | ¿Quién lo inventó? | ¿Cuándo murió? | ¿Por qué? | ¿Y el segundo? | ¿Dónde nació ella?
        | ¿Qué hizo después de eso? | En Francia? | ¿Cuáles son sus ventajas? | ¿Quién la inventó? | ¿Cuántas?
        | ¿Qué ventajas tiene esto? | Explícalo | ¿Le dieron un premio? | ¿Pero cómo funciona? | ¿Quién fue?
        | ¿Cuál es el otro? | ¿Puedes resumirlo?""",
    "pt": """E em que ano? | Quem o inventou? | Quando morreu? | Por quê? | E o segundo? | Onde ela nasceu?
        | Quais são as suas vantagens? | Como isso funciona? | Quantas? | No Brasil? | Quem inventou-o?
        | O que ele fez depois? | Qual é a outra? | Quem foi?""",
    "en": """And in which year? | Who invented it? | When did he die? | Why? | What about the second one?
        | Where was she born? | What are its advantages? | How does that work? | How many? | In France?
        | What did they do after that? | Who was he? | And the decoder? | Why is that? | Which one?
        | Who built the oldest one?""",
}
STANDING = {
    "es": """¿Quién inventó las GAN? | ¿Qué es un autoencoder? | ¿Cuándo se fundó la Universidad de Salamanca?
        | ¿Qué casa de subastas vendió el Retrato de Edmond de Belamy? | ¿Cuál es la capital de Francia?
        | ¿En qué año llegó Colón a América? | ¿Qué es lo que distingue al discriminador? | autoencoder variacional
        | ¿Por qué las redes profundas sufren el desvanecimiento del gradiente? | ¿Quién es Ian Goodfellow?
        | ¿Cómo se llama la puerta de olvido de la LSTM? | ¿Cuánto mide el vano principal del puente de Rande?""",
    "pt": """Quem inventou as GAN? | O que é um autoencoder? | Quando foi fundada a Universidade de Coimbra?
        | Qual porta da LSTM não fazia parte do desenho original de 1997? | Qual é a capital da França?
        | Como o codificador comprime os dados? | Quem é Ian Goodfellow? | Em que ano Cabral chegou ao Brasil?""",
    "en": """Who invented GANs? | What is an autoencoder? | When was the University of Salamanca founded?
        | How much memory does the KV cache of Qwen2.5 1.5B take per token? | What is the capital of France?
        | Why do deep networks suffer from vanishing gradients? | variational autoencoder
        | Is there a museum in Vigo? | What is the name of the model that won the prize? | Who is Ian Goodfellow?""",
}


@pytest.mark.parametrize("language", ["es", "pt", "en"])
def test_follow_ups_are_told_from_questions_that_stand_alone(language: str) -> None:
    leaning, standing = ([text.strip() for text in side[language].split("|")] for side in (LEANING, STANDING))
    assert [text for text in leaning if not needs_context(text, language)] == []
    assert [text for text in standing if needs_context(text, language)] == []


def test_a_language_without_words_of_its_own_is_judged_by_length() -> None:
    assert needs_context("?", "fr")
    assert not needs_context("Qui a inventé les réseaux antagonistes ?", "fr")
