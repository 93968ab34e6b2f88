"""A question for sentences is told from one for a fact by how it begins."""

import pytest

from rag.question_kind import asks_to_explain


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("¿Por qué se divide entre la raíz de la dimensión?", "es"),
        ("¿Qué es una GAN?", "es"),
        ("¿Cómo se entrena el generador?", "es"),
        ("Explica la atención.", "es"),
        ("Por que o treino é instável?", "pt"),
        ("O que é um autoencoder variacional?", "pt"),
        ("Qual a diferença para um autoencoder comum?", "pt"),
        ("Why is it divided by the square root?", "en"),
        ("What does attention compute?", "en"),
        ("What is septicemia?", "en"),
        ("How does inequality prevent growth?", "en"),
    ],
)
def test_explanations(question: str, language: str) -> None:
    assert asks_to_explain(question, language)


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("¿Quién presentó las GAN?", "es"),
        ("¿Cómo se llama la primera serie?", "es"),
        ("¿Por qué tipo de ayuda son conocidos?", "es"),
        ("¿En qué año se vendió?", "es"),
        ("Por quem foi proposta?", "pt"),
        ("Como se chama o modelo?", "pt"),
        ("Quantos parâmetros tem?", "pt"),
        ("How many tokens does it read?", "en"),
        ("What is the name of the model?", "en"),
        ("What year was it sold?", "en"),
        ("Why?", "fr"),
    ],
)
def test_facts_and_unknown_languages(question: str, language: str) -> None:
    assert not asks_to_explain(question, language)
