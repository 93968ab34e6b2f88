"""Numbers, dates and names of a sentence are found in its evidence however they are written, and nowhere else."""

import re
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag.facts import evidence_of, unknown_facts


def unknown(sentence: str, language: str, evidence: str, of: str) -> list[str]:
    return unknown_facts(sentence, language, evidence_of([(evidence, of)]))


@pytest.mark.parametrize(
    ("sentence", "language", "evidence", "of"),
    [
        ("Nació el 3 de mayo de 1999.", "es", "He was born on May 3, 1999.", "en"),
        ("Nació el 3 de mayo de 1999.", "es", "Fecha: 1999-05-03", "es"),
        ("Nació el 3/5/1999.", "es", "Nació el tres de mayo de 1999", "es"),
        ("Born May 3, 1999.", "en", "Nasceu em 3 de maio de 1999", "pt"),
        ("Nació en mayo de 1999.", "es", "Nasceu em 3 de maio de 1999", "pt"),
        ("Nació en 1999.", "es", "Nasceu em 3 de maio de 1999", "pt"),
        ("Tiene tres hijos.", "es", "He has three children", "en"),
        ("Tem três filhos.", "pt", "Tiene 3 hijos", "es"),
        ("Costó 1.500 euros.", "es", "It cost 1,500 euros", "en"),
        ("Costó 1 500 euros.", "es", "It cost €1500", "en"),
        ("Mide 5 km.", "es", "It is 5000 metres long", "en"),
        ("El 50 % votó.", "es", "cincuenta por ciento votó", "es"),
        ("Ocurrió en el siglo XX.", "es", "in the 20th century", "en"),
        ("It was World War II.", "en", "la Segunda Guerra Mundial", "es"),
        ("Tiene 3 millones de habitantes.", "es", "3.000.000 de habitantes", "es"),
        ("Tiene 2.000 millones.", "es", "It has 2 billion", "en"),
        ("Tem dois mil milhões.", "pt", "It has 2 billion", "en"),
        ("Cento e vinte e três casas.", "pt", "123 houses", "en"),
        ("One hundred and twenty-three houses.", "en", "123 casas", "es"),
        ("Entrenar redes cuesta.", "es", "El entrenamiento de redes cuesta mucho", "es"),
        ("Vivió en Londres.", "es", "He lived in London", "en"),
        ("Desde 1990-95.", "es", "1990 a 1995", "es"),
        ("Dos libros dos autores", "pt", "livros", "pt"),
        ("Habló once veces.", "es", "11 times", "en"),
        ("Deshace el nudo.", "es", "Se desata el nudo", "es"),
        ("Adhiere a un tratado.", "es", "Firma un tratado", "es"),
        ("Passa em um rio.", "pt", "Atravessa um rio", "pt"),
        ("He spoke once.", "en", "nothing", "en"),
        ("El 90 % de los 12 300 soldados.", "es", "12,300 soldiers, 90 percent", "en"),
        ("A las 10:30.", "es", "at 10:30", "en"),
        ("The treaty was signed in March.", "en", "Firmado el 2 de marzo de 1801", "es"),
        ("You may go.", "en", "x", "en"),
        ("En los años 1990s hubo 3D.", "es", "1990 3D", "es"),
        ("Mide 3,5 metros.", "es", "3.5 m", "en"),
        ("O tratado foi assinado em 7 de setembro de 1822.", "pt", "Firmado el 7 de septiembre de 1822.", "es"),
        ("It opened on 12 October 1992.", "en", "Abrió el 12/10/1992.", "es"),
        ("A ponte tem vinte e cinco arcos.", "pt", "El puente tiene 25 arcos.", "es"),
        ("The bridge has twenty-five arches.", "en", "El puente tiene veinticinco arcos.", "es"),
        ("La obra costó dos mil quinientos euros.", "es", "It cost 2,500 euros.", "en"),
        ("A obra custou R$ 1.250,00.", "pt", "A obra custou 1250 reais.", "pt"),
        ("Pesa 2 kg.", "es", "It weighs 2000 grams.", "en"),
        ("The city has 1.2 million people.", "en", "La ciudad tiene 1.200.000 habitantes.", "es"),
        ("Lo decidió el papa Juan Pablo II.", "es", "Pope John Paul II; Juan Pablo II", "es"),
        ("A cidade de Sao Paulo cresceu.", "pt", "São Paulo cresceu", "pt"),
        ("Los europeos llegaron en marzo.", "es", "Europeans arrived in March 1500", "en"),
        ("The French won.", "en", "Ganaron los franceses.", "es"),
    ],
)
def test_what_the_evidence_tells_in_its_own_way_is_known(sentence: str, language: str, evidence: str, of: str) -> None:
    assert unknown(sentence, language, evidence, of) == []


@pytest.mark.parametrize(
    ("sentence", "language", "evidence", "of", "expected"),
    [
        ("Nació el 4 de mayo de 1999.", "es", "Fecha: 1999-05-03", "es", ["4 de mayo de 1999"]),
        ("Nació el 3 de mayo.", "es", "Nasceu em maio de 1999", "pt", ["3 de mayo"]),
        ("Tiene cuatro hijos.", "es", "He has three children", "en", ["cuatro"]),
        ("Costó 1.500 dólares.", "es", "It cost €1500", "en", ["1.500"]),
        ("Mide 5 m.", "es", "It is 5 km long", "en", ["5"]),
        ("Reinó Felipe II.", "es", "Felipe III tuvo 2 hijos", "es", ["Felipe II"]),
        ("Ocurrió en el siglo XIX.", "es", "in the 20th century", "en", ["siglo XIX"]),
        ("Tiene 3 habitantes.", "es", "3 millones de habitantes", "es", ["3"]),
        ("Einstein nació en Ulm.", "es", "Nació en Ulm", "es", ["Einstein"]),
        ("Yann LeCun fue.", "es", "Nació en Ulm", "es", ["Yann", "LeCun"]),
        ("Usa GPT-4 y XLM-R.", "es", "GPT-3 tiene 4 XLM-R", "es", ["GPT-4"]),
        ("Mañana jugamos al tenis.", "es", "x", "es", ["Mañana"]),
        ("Vivió en París.", "es", "He lived in London", "en", ["París"]),
        ("A temperatura é de -5 graus.", "pt", "5 grados", "es", ["5"]),
        ("A las 10:45.", "es", "at 10:30", "en", ["10:45"]),
        ("Mide 3,6 metros.", "es", "3.5 m", "en", ["3,6"]),
        ("Carlos V y Carlos I.", "es", "Carlos I de España y V de Alemania", "es", ["Carlos V"]),
        (
            "O tratado foi assinado em 7 de setembro de 1823.",
            "pt",
            "Firmado el 7 de septiembre de 1822.",
            "es",
            ["7 de setembro de 1823"],
        ),
        ("It opened on 10 December 1992.", "en", "Abrió el 12/10/1992.", "es", ["10 December 1992"]),
        ("A ponte tem vinte e seis arcos.", "pt", "El puente tiene 25 arcos.", "es", ["vinte e seis"]),
        ("La obra costó dos mil seiscientos euros.", "es", "It cost 2,500 euros.", "en", ["dos mil seiscientos"]),
        ("The city has 1.3 million people.", "en", "La ciudad tiene 1.200.000 habitantes.", "es", ["1.3 million"]),
        ("Lo decidió el papa Juan XXIII.", "es", "El papa Juan Pablo II", "es", ["Juan XXIII"]),
        ("Los europeos llegaron en abril.", "es", "Europeans arrived in March 1500", "en", ["abril"]),
        ("The Germans won.", "en", "Ganaron los franceses.", "es", ["Germans"]),
        ("Goethe en 1808 lo publicó.", "es", "En 1808 se publicó.", "es", ["Goethe"]),
        ("Kafka no lo terminó.", "es", "No lo terminó.", "es", ["Kafka"]),
        ("Beethoven em 1808 a tocou.", "pt", "Foi tocada em 1808.", "pt", ["Beethoven"]),
        ("Newcastle lo reemplazó.", "es", "Lo reemplazó otro.", "es", ["Newcastle"]),
    ],
)
def test_what_the_evidence_does_not_tell_is_reported_as_it_is_written(
    sentence: str, language: str, evidence: str, of: str, expected: list[str]
) -> None:
    assert unknown(sentence, language, evidence, of) == expected


_ENGLISH = [f"{date(2000, month, 1):%B}" for month in range(1, 13)]
_SPANISH = re.findall(
    r"\w+", "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
)
_PORTUGUESE = re.findall(
    r"\w+", "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"
)
_TEMPLATES = {
    "es": "El informe habla de {} casos en total.",
    "pt": "O relatório fala de {} casos no total.",
    "en": "The report tells of {} cases in all.",
}


@given(
    st.integers(min_value=2, max_value=10**9),
    st.integers(min_value=2, max_value=10**9),
    st.sampled_from(("es", "pt", "en")),
    st.sampled_from(("es", "pt", "en")),
)
def test_a_whole_number_is_known_exactly_where_the_evidence_has_it(
    told: int, said: int, of: str, language: str
) -> None:
    evidence = _TEMPLATES[of].format(f"{told:,}" if of == "en" else f"{told:,}".replace(",", "."))
    sentence = _TEMPLATES[language].format(said)
    assert bool(unknown(sentence, language, evidence, of)) == (told != said)


@given(st.dates(), st.dates(), st.sampled_from(("iso", "es", "pt", "en")))
def test_a_date_is_known_exactly_where_the_evidence_has_it(told: date, said: date, way: str) -> None:
    sentence = f"It was built on {_ENGLISH[said.month - 1]} {said.day}, {said.year:04d}."
    evidence = {
        "iso": told.isoformat(),
        "es": f"{told.day} de {_SPANISH[told.month - 1]} de {told.year:04d}",
        "pt": f"{told.day} de {_PORTUGUESE[told.month - 1]} de {told.year:04d}",
        "en": f"{told.day} {_ENGLISH[told.month - 1]} {told.year:04d}",
    }[way]
    assert bool(unknown(sentence, "en", f"Fecha: {evidence}.", "es")) == (told != said)


@given(st.text(max_size=200), st.sampled_from(("es", "pt", "en")))
@example("/0", "es")
@example("-5 graus", "pt")
def test_a_text_tells_all_of_its_own_facts(text: str, language: str) -> None:
    assert unknown(text, language, text, language) == []
