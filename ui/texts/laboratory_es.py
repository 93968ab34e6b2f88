"""The laboratory in Spanish."""

from ui.texts.laboratory import Explanation, LaboratoryTexts

LABORATORY_ES = LaboratoryTexts(
    hint=(
        "Modelos generativos pequeños que puedes abrir, mover y entrenar aquí mismo, "
        "con cifras de 8×8 píxeles y con textos."
    ),
    family="Familia",
    families={
        "autoencoder": Explanation(
            "Autocodificador",
            "Una red aprieta la imagen hasta unos pocos números, el código, y otra la vuelve a dibujar a partir de "
            "ellos. "
            "Solo lo que cabe en el código sobrevive, así que aprende qué importa. Si al entrenar se ensucia la "
            "entrada "
            "y se pide la imagen limpia, aprende además a quitar ruido.",
            "Comprime y limpia muy bien. No sabe qué códigos son plausibles, así que al inventar códigos salen "
            "dibujos rotos.",
            "Hinton y Salakhutdinov (2006); Vincent et al. (2008)",
        ),
        "vae": Explanation(
            "Autocodificador variacional",
            "El código deja de ser un punto y pasa a ser una nube de probabilidad, y todas las nubes juntas llenan un "
            "espacio conocido. Por eso se puede tomar un punto cualquiera y dibujarlo, o caminar entre dos imágenes: a "
            "mitad de camino está su punto medio exacto. Lo que el modelo explica mal recibe una puntuación alta.",
            "Mezcla, interpola y detecta lo raro. Sus dibujos son algo borrosos, porque promedia lo que no puede "
            "distinguir.",
            "Kingma y Welling (2014); Burda et al. (2016)",
        ),
        "gan": Explanation(
            "Redes generativas adversarias",
            "Dos redes compiten: una dibuja a partir de ruido y la otra decide si lo que ve es real o dibujado. Cada "
            "una "
            "aprende de los aciertos de la otra. Cuando la segunda ya no acierta más que una moneda al aire, el dibujo "
            "pasa por bueno; aquí un crítico nuevo, que no ha jugado, tiene que confirmarlo.",
            "Imágenes nítidas y rápidas. Entrenarlas es delicado: pueden acabar repitiendo siempre lo mismo.",
            "Goodfellow et al. (2014); Miyato et al. (2018); Mescheder et al. (2018)",
        ),
        "autoregressive": Explanation(
            "Modelo autorregresivo",
            "Dibuja píxel a píxel, y cada uno depende de los que ya están. Multiplicando esas probabilidades se sabe "
            "con "
            "exactitud cuán probable es una imagen entera. Este ha aprendido todos los órdenes a la vez, así que puede "
            "completar una imagen por donde falte.",
            "Probabilidades exactas, sin cotas. Es lento: un paso por píxel.",
            "Uria, Murray y Larochelle (2014); Germain et al. (2015)",
        ),
        "diffusion": Explanation(
            "Modelo de difusión",
            "Se estropean imágenes con ruido poco a poco hasta que no queda nada, y una red aprende a deshacer un solo "
            "paso. Si se empieza por puro ruido y se deshacen todos, aparece una imagen nueva. Se le puede decir qué "
            "dibujar, por clase o con palabras.",
            "Los mejores dibujos y los más variados. Necesita muchos pasos por imagen.",
            "Ho et al. (2020); Song et al. (2021); Ho y Salimans (2022)",
        ),
        "recolour": Explanation(
            "De imagen a imagen",
            "El generador no parte de ruido sino de otra imagen: quita el color y lo vuelve a poner. El "
            "discriminador ve "
            "las dos y juzga si se corresponden. Para devolver el color hay que reconocer la cifra, porque aquí cada "
            "una "
            "tiene el suyo.",
            "Cambia una imagen respetando su forma. Inventa cuando la entrada no dice lo bastante.",
            "Isola et al. (2017)",
        ),
        "sound": Explanation(
            "Sonido",
            "La misma difusión, pero la imagen es el espectro de un tono corto: qué frecuencias suenan en cada "
            "momento. "
            "Del espectro dibujado se recupera una onda que se puede oír.",
            "Muestra que el método no es solo para imágenes. Son tonos de una décima de segundo, nada más.",
            "Ho et al. (2020); Griffin y Lim (1984)",
        ),
    },
    explanation="Cómo funciona",
    strengths="Para qué sirve",
    papers="Artículos",
    samples="Muestras",
    explore="Explorar",
    train="Entrenar",
    anomaly="¿Es raro?",
    seed="Semilla",
    kind="Clase",
    any_kind="Cualquiera",
    caption="Descripción",
    caption_help="En español, portugués o inglés: «dibuja un siete», «a handwritten seven», «desenhe um sete».",
    draw="Dibujar",
    not_shipped="Todavía no hay un modelo entrenado de esta familia. Entrénalo con: {command}",
    image="Imagen",
    other_image="Otra imagen",
    noise="Ruido",
    original="Original",
    noisy="Con ruido",
    reconstructed="De vuelta",
    codes="Mueve el código",
    codes_help="Cada control es un número del código; la imagen es lo que el modelo dibuja con ellos.",
    between="Entre dos imágenes",
    midpoint="La del medio es el punto medio exacto de las dos.",
    one_way="Un rumbo",
    other_way="Otro rumbo",
    position="Camino",
    contest="El duelo de las dos redes",
    contest_help="Con qué frecuencia acierta el discriminador; 0,5 es una moneda al aire.",
    real_logits="Cuán reales le parecen las reales",
    drawn_logits="Cuán reales le parecen las dibujadas",
    noising="De imagen a ruido",
    denoising="De ruido a imagen",
    step="Paso",
    left_half="Se conserva la mitad izquierda y se dibuja el resto",
    inpainted="Completadas",
    pixels_known="Filas que se conservan",
    completed="Completadas",
    likelihood="{nats} nats: cuanto menos, más probable",
    coloured="En color",
    grey="En gris",
    back="De vuelta al color",
    listen="Escuchar",
    data="Datos",
    data_names={
        "reina-valera": "Reina-Valera, 1909 (español)",
        "king-james": "King James (inglés)",
        "numbers-en-es": "Números en palabras, del inglés al español",
        "numbers-es-pt": "Números en palabras, del español al portugués",
        "typos-es": "Erratas y cómo se corrigen",
        "own": "Un texto tuyo (.txt)",
    },
    own_text="Tu texto, en UTF-8; cuanto más largo, mejor aprende",
    steps="Pasos",
    start="Entrenar desde cero",
    stop="Detener",
    loss="Pérdida",
    accuracy="Aciertos",
    held_out="{name} (apartados)",
    reading="Leyendo los datos",
    training="Entrenando: paso {step} de {total}",
    trained="Entrenado: {steps} pasos en {seconds} s",
    rate="{rate} pasos por segundo",
    left="quedan {seconds} s",
    upload="Imagen para puntuar",
    upload_hint="Una cifra escrita a mano, en cualquier lugar de la imagen. Se recorta el trazo y se reduce a 8×8.",
    invert="Trazo oscuro sobre fondo claro",
    score="Puntuación",
    threshold="Umbral",
    anomalous="Rara: por encima del umbral que solo supera el 5 % de las imágenes normales.",
    normal="Normal: no supera el umbral.",
    seen_as="Así la ve el modelo",
)
