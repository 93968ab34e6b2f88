"""Whether a question asks for an explanation, or for a fact that a few words answer."""

import re

_EXPLAINING = {
    "es": r"por qué (?!tipo|clase|cosas?\b|persona|gent)|para qué|explica|describ|define|resum|compara|enumera"
    r"|en qué (?:consiste|se diferencia|se parece)"
    r"|cómo (?!se (?:llam|conoc|denomin|titul|apellid))"
    r"|qué (?:es|son|era|eran|significan?|diferencias?|ventajas?|desventajas?|relación|opina|hay|hace|hacen)\b",
    "pt": r"por ?qu[eê]\b|para qu[eê]\b|explique|descreva|defina|resuma|compare|enumere"
    r"|em que (?:consiste|se diferencia)"
    r"|como (?!se (?:cham|conhec|denomin|intitul))"
    r"|(?:o )?que (?:é|são|era|eram|significam?|faz|fazem)\b"
    r"|qua(?:l|is) (?:a|as) (?:diferenças?|vantage[mn]s?|relação)",
    "en": r"why|explain|describe|define|summari[sz]e|compare|list"
    r"|how (?!many|much|long|old|far|often|tall|high|large|big|deep|fast|wide|heavy)"
    r"|what(?:'s| is| are| was| were) (?:an?|[\w-]+\s*\?|the (?:difference|relation\w*|advantages?|purpose|role|point))"
    r"|what do(?:es)? (?:an? |the )?[\w-]+ (?:do|mean|compute)\b",
}


def asks_to_explain(question: str, language: str) -> bool:
    """Whether a question wants sentences: why, how, what something is; told by how it begins."""
    opening = re.sub(r"^\W+", "", question.casefold())
    return re.match(_EXPLAINING.get(language, r"(?!)"), opening) is not None
