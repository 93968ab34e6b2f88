"""The laboratory in Portuguese."""

from ui.texts.laboratory import Explanation, LaboratoryTexts

LABORATORY_PT = LaboratoryTexts(
    hint=(
        "Modelos generativos pequenos que você pode abrir, mexer e treinar aqui mesmo, "
        "com algarismos de 8×8 pixels e com textos."
    ),
    family="Família",
    families={
        "autoencoder": Explanation(
            "Autocodificador",
            "Uma rede espreme a imagem até uns poucos números, o código, e outra a desenha de novo a partir deles. "
            "Só o "
            "que cabe no código sobrevive, e assim ela aprende o que importa. Se no treino a entrada é sujada e se "
            "pede "
            "a imagem limpa, ela aprende também a tirar ruído.",
            "Comprime e limpa muito bem. Não sabe quais códigos são plausíveis: códigos inventados dão desenhos "
            "quebrados.",
            "Hinton e Salakhutdinov (2006); Vincent et al. (2008)",
        ),
        "vae": Explanation(
            "Autocodificador variacional",
            "O código deixa de ser um ponto e vira uma nuvem de probabilidade, e todas as nuvens juntas enchem um "
            "espaço "
            "conhecido. Por isso dá para pegar um ponto qualquer e desenhá-lo, ou caminhar entre duas imagens: na "
            "metade "
            "do caminho está o ponto médio exato. O que o modelo explica mal recebe uma pontuação alta.",
            "Mistura, interpola e acha o que é estranho. Os desenhos saem um pouco borrados, pois faz a média do que "
            "não distingue.",
            "Kingma e Welling (2014); Burda et al. (2016)",
        ),
        "gan": Explanation(
            "Redes adversárias generativas",
            "Duas redes competem: uma desenha a partir de ruído e a outra diz se o que vê é real ou desenhado. Cada "
            "uma "
            "aprende com os acertos da outra. Quando a segunda já não acerta mais do que uma moeda, o desenho passa "
            "por "
            "bom; aqui um crítico novo, que não jogou, precisa confirmar.",
            "Imagens nítidas e rápidas. O treino é delicado: podem acabar repetindo sempre a mesma coisa.",
            "Goodfellow et al. (2014); Miyato et al. (2018); Mescheder et al. (2018)",
        ),
        "autoregressive": Explanation(
            "Modelo autorregressivo",
            "Desenha pixel a pixel, e cada um depende dos que já existem. Multiplicando essas probabilidades se sabe "
            "com "
            "exatidão quão provável é a imagem inteira. Este aprendeu todas as ordens ao mesmo tempo, e por isso "
            "completa "
            "uma imagem onde faltar.",
            "Probabilidades exatas, sem limites aproximados. É lento: um passo por pixel.",
            "Uria, Murray e Larochelle (2014); Germain et al. (2015)",
        ),
        "diffusion": Explanation(
            "Modelo de difusão",
            "Imagens são estragadas com ruído aos poucos até não sobrar nada, e uma rede aprende a desfazer um único "
            "passo. Começando por puro ruído e desfazendo todos, surge uma imagem nova. Pode-se dizer o que desenhar, "
            "por classe ou com palavras.",
            "Os melhores desenhos e os mais variados. Precisa de muitos passos por imagem.",
            "Ho et al. (2020); Song et al. (2021); Ho e Salimans (2022)",
        ),
        "recolour": Explanation(
            "De imagem a imagem",
            "O gerador não parte de ruído, e sim de outra imagem: tira a cor e a põe de volta. O discriminador vê as "
            "duas "
            "e julga se combinam. Para devolver a cor é preciso reconhecer o algarismo, pois aqui cada um tem a sua.",
            "Muda uma imagem respeitando a forma. Inventa quando a entrada não diz o bastante.",
            "Isola et al. (2017)",
        ),
        "sound": Explanation(
            "Som",
            "A mesma difusão, mas a imagem é o espectro de um tom curto: que frequências soam em cada momento. Do "
            "espectro desenhado se recupera uma onda que se pode ouvir.",
            "Mostra que o método não serve só para imagens. São tons de um décimo de segundo, nada mais.",
            "Ho et al. (2020); Griffin e Lim (1984)",
        ),
    },
    explanation="Como funciona",
    strengths="Para que serve",
    papers="Artigos",
    samples="Amostras",
    explore="Explorar",
    train="Treinar",
    anomaly="É estranho?",
    seed="Semente",
    kind="Classe",
    any_kind="Qualquer uma",
    caption="Descrição",
    caption_help="Em português, espanhol ou inglês: “desenhe um sete”, “dibuja un siete”, “a handwritten seven”.",
    draw="Desenhar",
    not_shipped="Ainda não há um modelo treinado desta família. Treine com: {command}",
    image="Imagem",
    other_image="Outra imagem",
    noise="Ruído",
    original="Original",
    noisy="Com ruído",
    reconstructed="De volta",
    codes="Mexa no código",
    codes_help="Cada controle é um número do código; a imagem é o que o modelo desenha com eles.",
    between="Entre duas imagens",
    midpoint="A do meio é o ponto médio exato das duas.",
    one_way="Um rumo",
    other_way="Outro rumo",
    position="Caminho",
    contest="O duelo das duas redes",
    contest_help="Com que frequência o discriminador acerta; 0,5 é uma moeda.",
    real_logits="Quão reais lhe parecem as reais",
    drawn_logits="Quão reais lhe parecem as desenhadas",
    noising="De imagem a ruído",
    denoising="De ruído a imagem",
    step="Passo",
    left_half="A metade esquerda fica e o resto é desenhado",
    inpainted="Completadas",
    pixels_known="Linhas que ficam",
    completed="Completadas",
    likelihood="{nats} nats: quanto menos, mais provável",
    coloured="Em cores",
    grey="Em cinza",
    back="De volta às cores",
    listen="Ouvir",
    data="Dados",
    data_names={
        "reina-valera": "Reina-Valera, 1909 (espanhol)",
        "king-james": "King James (inglês)",
        "numbers-en-es": "Números por extenso, do inglês ao espanhol",
        "numbers-es-pt": "Números por extenso, do espanhol ao português",
        "typos-es": "Erros de digitação e como se corrigem (espanhol)",
        "own": "Um texto seu (.txt)",
    },
    own_text="Seu texto, em UTF-8; quanto mais longo, melhor aprende",
    steps="Passos",
    start="Treinar do zero",
    stop="Parar",
    loss="Perda",
    accuracy="Acertos",
    held_out="{name} (à parte)",
    reading="Lendo os dados",
    training="Treinando: passo {step} de {total}",
    trained="Treinado: {steps} passos em {seconds} s",
    rate="{rate} passos por segundo",
    left="faltam {seconds} s",
    upload="Imagem para pontuar",
    upload_hint="Um algarismo escrito à mão, em qualquer lugar da imagem. O traço é recortado e reduzido a 8×8.",
    invert="Traço escuro em fundo claro",
    score="Pontuação",
    threshold="Limiar",
    anomalous="Estranha: acima do limiar que só 5 % das imagens normais superam.",
    normal="Normal: não supera o limiar.",
    seen_as="Assim o modelo a vê",
)
