"""What the laboratory says of the language families, in three languages."""

from collections.abc import Mapping
from dataclasses import dataclass

from ui.texts.laboratory import Explanation


@dataclass(frozen=True, slots=True)
class LanguageTexts:
    """The texts of one language."""

    families: Mapping[str, Explanation]
    your_text: str
    sample_text: str
    tokens_counted: str
    begin: str
    temperature: str
    top_k: str
    top_k_help: str
    top_p: str
    top_p_help: str
    seed: str
    next_letter: str
    next_letter_help: str
    attention: str
    attention_help: str
    layer: str
    head: str
    covered_text: str
    covered_help: str
    guesses: str
    guesses_help: str
    slips: str
    slips_help: str
    looked_at: str
    looked_at_help: str
    given: str
    continued: str
    word: str
    picture: str
    sound: str
    digit: str
    unified_help: str


_ES = LanguageTexts(
    families={
        "tokeniser": Explanation(
            "Partir el texto en fichas (tokens)",
            "Antes de leer, un modelo corta el texto en fichas. Al principio cada byte es una; después se "
            "funden las dos "
            "vecinas que más veces aparecen juntas, y otra vez, y otra. Las palabras frecuentes acaban "
            "siendo una sola "
            "ficha y las raras quedan en trozos. Nada es desconocido, y juntando las fichas vuelve el texto exacto.",
            "Hace que los textos sean más cortos para el modelo. Lo que cuesta un texto depende del idioma "
            "con el que "
            "se aprendieron las fichas: aquí, el español de 1909.",
            "Gage (1994); Sennrich, Haddow y Birch (2016); Radford et al. (2019)",
        ),
        "transformer": Explanation(
            "Transformer que escribe",
            "Lee lo escrito y reparte probabilidades entre las letras que podrían seguir; se sortea una y vuelve a "
            "empezar. Para decidir, cada letra mira a todas las anteriores y toma de ellas lo que le "
            "interesa: eso es la "
            "atención. La temperatura y los cortes solo cambian el sorteo, no lo que el modelo sabe.",
            "Escribe con fluidez y aprende a distancia. Este es diminuto y solo ha leído la Reina-Valera: acierta la "
            "ortografía y el tono antes que el sentido.",
            "Vaswani et al. (2017); Radford et al. (2019); Su et al. (2021); Holtzman et al. (2020)",
        ),
        "masked": Explanation(
            "Modelo enmascarado",
            "Se tapan palabras y el modelo dice qué había, leyendo a la vez lo que va antes y lo que va "
            "después. De tanto "
            "rellenar huecos aprende a resumir cada texto en unos números que sirven para compararlo y clasificarlo.",
            "Entiende mejor que escribe: lee en las dos direcciones, pero no sabe continuar un texto. Cada "
            "hueco es una "
            "ficha, que puede ser menos que una palabra.",
            "Devlin et al. (2019); Liu et al. (2019)",
        ),
        "translator": Explanation(
            "De un texto a otro",
            "Una red lee el texto entero y otra escribe el nuevo letra a letra, mirando lo que la primera "
            "entendió, o señala en lo leído lo que hay que copiar. Así "
            "se traduce, se resume o se corrige; este ha aprendido a quitar erratas que se pusieron a propósito.",
            "Vale para cualquier tarea con parejas de textos. Inventa cuando la entrada no se parece a lo que vio.",
            "Sutskever, Vinyals y Le (2014); Vaswani et al. (2017); See et al. (2017)",
        ),
        "unified": Explanation(
            "Palabras, imágenes y sonidos en una fila",
            "Los trozos de una imagen y los tonos de un sonido también pueden ser fichas. Puestas en fila "
            "con las letras, "
            "un solo modelo las continúa todas: después de «siete» dibuja un siete, después de un dibujo escribe su "
            "palabra o marca su tono.",
            "Un único modelo para todo, sin piezas por separado. Dibuja con menos detalle que un modelo "
            "solo de imágenes.",
            "van den Oord et al. (2017); Chameleon Team (2024)",
        ),
    },
    your_text="Tu texto",
    sample_text=(
        "En el principio creó Dios los cielos y la tierra. El extraordinario electroencefalograma costó 1250 euros."
    ),
    tokens_counted="{tokens} fichas para {letters} letras.",
    begin="Empieza así",
    temperature="Temperatura",
    top_k="Top-k",
    top_k_help="Solo se sortea entre las k más probables; 0 no corta.",
    top_p="Top-p",
    top_p_help="Solo entre las más probables que juntas llegan a esta parte.",
    seed="Semilla",
    next_letter="La letra siguiente",
    next_letter_help=(
        "En gris, lo que da el modelo; en verde, con lo que se sortea. Con temperatura 0 se toma la más probable."
    ),
    attention="A quién mira cada letra",
    attention_help="Cada fila es una letra y las columnas, las que tiene detrás: cuanto más oscuro, más mira.",
    layer="Capa",
    head="Cabeza",
    covered_text="Texto con huecos",
    covered_help="Escribe [MASK] donde falte algo, una o más veces.",
    guesses="Lo que puede haber ahí",
    guesses_help="Las fichas más probables de cada hueco; ␣ es el espacio que empieza una palabra.",
    slips="Texto con erratas",
    slips_help="Hasta 48 letras. El modelo conoce el español de la Reina-Valera.",
    looked_at="Adónde miraba al escribir",
    looked_at_help="Filas: lo escrito. Columnas: lo leído. La diagonal es copiar; donde se tuerce, corrige.",
    given="Se le da",
    continued="Lo continúa con",
    word="Palabra",
    picture="Imagen",
    sound="Sonido",
    digit="Cifra",
    unified_help=(
        "En español, portugués o inglés: siete, sete, seven. Los tonos son los de las teclas de un teléfono."
    ),
)

_PT = LanguageTexts(
    families={
        "tokeniser": Explanation(
            "Cortar o texto em fichas (tokens)",
            "Antes de ler, um modelo corta o texto em fichas. No início cada byte é uma; depois juntam-se "
            "as duas vizinhas "
            "que mais vezes aparecem lado a lado, e outra vez, e outra. As palavras frequentes acabam por ser uma só "
            "ficha e as raras ficam em pedaços. Nada é desconhecido, e juntando as fichas volta o texto exato.",
            "Torna os textos mais curtos para o modelo. O custo de um texto depende da língua com que se "
            "aprenderam as "
            "fichas: aqui, o espanhol de 1909.",
            "Gage (1994); Sennrich, Haddow e Birch (2016); Radford et al. (2019)",
        ),
        "transformer": Explanation(
            "Transformer que escreve",
            "Lê o que está escrito e reparte probabilidades pelas letras que podem seguir; sorteia-se uma "
            "e recomeça. "
            "Para decidir, cada letra olha para todas as anteriores e tira delas o que lhe interessa: isso "
            "é a atenção. "
            "A temperatura e os cortes só mudam o sorteio, não o que o modelo sabe.",
            "Escreve com fluência e aprende à distância. Este é minúsculo e só leu a Reina-Valera: acerta "
            "na ortografia "
            "e no tom antes do sentido.",
            "Vaswani et al. (2017); Radford et al. (2019); Su et al. (2021); Holtzman et al. (2020)",
        ),
        "masked": Explanation(
            "Modelo mascarado",
            "Tapam-se palavras e o modelo diz o que lá estava, lendo ao mesmo tempo o que vem antes e o "
            "que vem depois. "
            "De tanto preencher lacunas aprende a resumir cada texto em alguns números que servem para o comparar e "
            "classificar.",
            "Entende melhor do que escreve: lê nos dois sentidos, mas não sabe continuar um texto. Cada lacuna é uma "
            "ficha, que pode ser menos do que uma palavra.",
            "Devlin et al. (2019); Liu et al. (2019)",
        ),
        "translator": Explanation(
            "De um texto para outro",
            "Uma rede lê o texto inteiro e outra escreve o novo letra a letra, olhando para o que a "
            "primeira entendeu, ou aponta no que leu o que há de copiar. "
            "Assim se traduz, se resume ou se corrige; este aprendeu a tirar erros de digitação que foram "
            "postos de propósito.",
            "Serve para qualquer tarefa com pares de textos. Inventa quando a entrada não se parece com o que viu.",
            "Sutskever, Vinyals e Le (2014); Vaswani et al. (2017); See et al. (2017)",
        ),
        "unified": Explanation(
            "Palavras, imagens e sons numa fila",
            "Os pedaços de uma imagem e os tons de um som também podem ser fichas. Postas em fila com as "
            "letras, um só "
            "modelo continua todas: depois de «sete» desenha um sete, depois de um desenho escreve a sua palavra ou "
            "marca o seu tom.",
            "Um único modelo para tudo, sem peças à parte. Desenha com menos detalhe do que um modelo só de imagens.",
            "van den Oord et al. (2017); Chameleon Team (2024)",
        ),
    },
    your_text="Seu texto",
    sample_text=(
        "En el principio creó Dios los cielos y la tierra. O extraordinário eletroencefalograma custou 1250 euros."
    ),
    tokens_counted="{tokens} fichas para {letters} letras.",
    begin="Comece assim",
    temperature="Temperatura",
    top_k="Top-k",
    top_k_help="Só se sorteia entre as k mais prováveis; 0 não corta.",
    top_p="Top-p",
    top_p_help="Só entre as mais prováveis que juntas chegam a esta parte.",
    seed="Semente",
    next_letter="A letra seguinte",
    next_letter_help=(
        "A cinzento, o que o modelo dá; a verde, com o que se sorteia. Com temperatura 0 toma-se a mais provável."
    ),
    attention="Para quem olha cada letra",
    attention_help="Cada linha é uma letra e as colunas, as que tem atrás: quanto mais escuro, mais olha.",
    layer="Camada",
    head="Cabeça",
    covered_text="Texto com lacunas",
    covered_help="Escreva [MASK] onde falta algo, uma ou mais vezes. O modelo leu espanhol.",
    guesses="O que pode estar ali",
    guesses_help="As fichas mais prováveis de cada lacuna; ␣ é o espaço que começa uma palavra.",
    slips="Texto com erros de digitação",
    slips_help="Até 48 letras, em espanhol. O modelo conhece o da Reina-Valera.",
    looked_at="Para onde olhava ao escrever",
    looked_at_help="Linhas: o que escreveu. Colunas: o que leu. A diagonal é copiar; onde se torce, corrige.",
    given="Recebe",
    continued="Continua com",
    word="Palavra",
    picture="Imagem",
    sound="Som",
    digit="Algarismo",
    unified_help="Em espanhol, português ou inglês: siete, sete, seven. Os tons são os das teclas de um telefone.",
)

_EN = LanguageTexts(
    families={
        "tokeniser": Explanation(
            "Cutting text into tokens (BPE)",
            "Before it reads, a model cuts a text into tokens. At first every byte is one; then the two "
            "neighbours that "
            "come together most often are merged, and again, and again. Frequent words end up as one "
            "token, rare ones "
            "stay in pieces. Nothing is unknown, and put together the tokens are the very same text.",
            "Makes texts shorter for the model. What a text costs depends on the language that the tokens "
            "were learnt "
            "from: here, the Spanish of 1909.",
            "Gage (1994); Sennrich, Haddow and Birch (2016); Radford et al. (2019)",
        ),
        "transformer": Explanation(
            "A transformer that writes",
            "It reads what is there and shares out probability among the letters that could follow; one is "
            "drawn, and it "
            "begins anew. To decide, every letter looks at all before it and takes what it needs from them: that is "
            "attention. Temperature and cut-offs change the draw only, not what the model knows.",
            "Writes fluently and learns over a distance. This one is tiny and has read the Reina-Valera "
            "alone: it gets "
            "spelling and tone before it gets sense.",
            "Vaswani et al. (2017); Radford et al. (2019); Su et al. (2021); Holtzman et al. (2020)",
        ),
        "masked": Explanation(
            "Masked model",
            "Words are covered and the model says what was there, reading what comes before and after at once. From "
            "filling in so much it learns to sum up a text in a few numbers, which serve to compare and to "
            "classify it.",
            "Understands better than it writes: it reads both ways, but cannot continue a text. Every gap "
            "is one token, "
            "which may be less than a word.",
            "Devlin et al. (2019); Liu et al. (2019)",
        ),
        "translator": Explanation(
            "From one text to another",
            "One network reads the whole text, another writes the new one letter by letter, looking at "
            "what the first "
            "made of it, or points at what to copy. That translates, sums up or corrects; this one has learnt to "
            "take out slips that were put in on purpose.",
            "Good for any task with pairs of texts. It invents where the input is unlike what it has seen.",
            "Sutskever, Vinyals and Le (2014); Vaswani et al. (2017); See et al. (2017)",
        ),
        "unified": Explanation(
            "Words, pictures and sounds in a row",
            "Pieces of a picture and tones of a sound can be tokens too. In a row with letters, one model "
            "continues them "
            "all: after “seven” it draws a seven, after a drawing it writes its word or rings its tone.",
            "One model for everything, without separate parts. It draws with less detail than a model of "
            "pictures alone.",
            "van den Oord et al. (2017); Chameleon Team (2024)",
        ),
    },
    your_text="Your text",
    sample_text=(
        "En el principio creó Dios los cielos y la tierra. The extraordinary electroencephalogram cost 1250 euros."
    ),
    tokens_counted="{tokens} tokens for {letters} letters.",
    begin="Begin like this",
    temperature="Temperature",
    top_k="Top-k",
    top_k_help="Draws among the k likeliest only; 0 cuts nothing.",
    top_p="Top-p",
    top_p_help="Only among the likeliest that together reach this share.",
    seed="Seed",
    next_letter="The next letter",
    next_letter_help=(
        "Grey is what the model gives, green what is drawn from. At temperature 0 the likeliest is taken."
    ),
    attention="Whom every letter looks at",
    attention_help="Each row is a letter, the columns those behind it: the darker, the more it looks.",
    layer="Layer",
    head="Head",
    covered_text="Text with gaps",
    covered_help="Write [MASK] where something is missing, once or more. The model has read Spanish.",
    guesses="What may be there",
    guesses_help="The likeliest tokens of each gap; ␣ is the space that begins a word.",
    slips="Text with slips",
    slips_help="Up to 48 letters, in Spanish. The model knows that of the Reina-Valera.",
    looked_at="Where it looked while it wrote",
    looked_at_help=(
        "Rows: what it wrote. Columns: what it read. The diagonal is copying; where it bends, it corrects."
    ),
    given="It is given",
    continued="It continues with",
    word="Word",
    picture="Picture",
    sound="Sound",
    digit="Digit",
    unified_help="In Spanish, Portuguese or English: siete, sete, seven. The tones are those of a telephone's keys.",
)

LABORATORY_LANGUAGE: dict[str, LanguageTexts] = {"es": _ES, "pt": _PT, "en": _EN}
