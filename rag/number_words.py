"""How numbers, months and units are written out in Spanish, Portuguese and English; every word without accents."""

from decimal import Decimal

_UNITS = {
    1: "un uno una um uma one",
    2: "dos dois duas two",
    3: "tres three",
    4: "cuatro quatro four",
    5: "cinco five",
    6: "seis six",
    7: "siete sete seven",
    8: "ocho oito eight",
    9: "nueve nove nine",
    10: "diez dez ten",
    11: "once onze eleven",
    12: "doce doze twelve docena docenas duzia duzias dozen",
    13: "trece treze thirteen",
    14: "catorce quatorze catorze fourteen",
    15: "quince quinze fifteen",
    16: "dieciseis dezesseis dezasseis sixteen",
    17: "diecisiete dezessete dezassete seventeen",
    18: "dieciocho dezoito eighteen",
    19: "diecinueve dezenove dezanove nineteen",
    20: "veinte vinte twenty",
    21: "veintiuno veintiun veintiuna",
    22: "veintidos",
    23: "veintitres",
    24: "veinticuatro",
    25: "veinticinco",
    26: "veintiseis",
    27: "veintisiete",
    28: "veintiocho",
    29: "veintinueve",
    30: "treinta trinta thirty",
    40: "cuarenta quarenta forty",
    50: "cincuenta cinquenta fifty",
    60: "sesenta sessenta sixty",
    70: "setenta seventy",
    80: "ochenta oitenta eighty",
    90: "noventa noventa ninety",
    100: "cien ciento cem cento",
    200: "doscientos doscientas duzentos duzentas",
    300: "trescientos trescientas trezentos trezentas",
    400: "cuatrocientos cuatrocientas quatrocentos quatrocentas",
    500: "quinientos quinientas quinhentos quinhentas",
    600: "seiscientos seiscientas seiscentos seiscentas",
    700: "setecientos setecientas setecentos setecentas",
    800: "ochocientos ochocientas oitocentos oitocentas",
    900: "novecientos novecientas novecentos novecentas",
}
_SCALES = {
    100: "hundred",
    10**3: "mil thousand",
    10**6: "millon millones milhao milhoes million",
    10**9: "billion bilhao bilhoes millardo millardos",
    10**12: "billon billones trillion trilhao trilhoes biliao bilioes",
    10**18: "trillon trillones",
}
_ORDINALS = {
    1: "primer primero primera primeiro primeira first",
    2: "segundo segunda second",
    3: "tercer tercero tercera terceiro terceira third",
    4: "cuarto cuarta quarto quarta fourth",
    5: "quinto quinta fifth",
    6: "sexto sexta sixth",
    7: "septimo septima setimo setima seventh",
    8: "octavo octava oitavo oitava eighth",
    9: "noveno novena nono nona ninth",
    10: "decimo decima tenth",
    11: "undecimo undecima eleventh",
    12: "duodecimo duodecima twelfth",
    13: "thirteenth",
    14: "fourteenth",
    15: "fifteenth",
    16: "sixteenth",
    17: "seventeenth",
    18: "eighteenth",
    19: "nineteenth",
    20: "vigesimo vigesima twentieth",
    21: "twenty-first",
    100: "centesimo centesima hundredth",
}
_MONTHS = (
    "enero janeiro january", "febrero fevereiro february", "marzo marco march", "abril april", "mayo maio may",
    "junio junho june", "julio julho july", "agosto august", "septiembre setiembre setembro september",
    "octubre outubro october", "noviembre novembro november", "diciembre dezembro december",
)  # fmt: skip
_MONTH_ABBREVIATIONS = (
    "ene jan", "feb fev", "mar", "abr apr", "", "jun", "jul", "ago aug", "sep sept set", "oct out", "nov",
    "dic dez dec",
)  # fmt: skip
# Dimension, size in its base unit: names. What shares dimension and size is one unit, whatever it is called.
_MEASURES: tuple[tuple[str, str, str], ...] = (
    ("length", "0.001", "mm milimetro milimetros millimeter millimeters millimetre millimetres"),
    ("length", "0.01", "cm centimetro centimetros centimeter centimeters centimetre centimetres"),
    ("length", "1", "m metro metros meter meters metre metres"),
    ("length", "1000", "km kilometro kilometros quilometro quilometros kilometer kilometers kilometre kilometres"),
    ("length", "1609.344", "milla millas milha milhas mile miles"),
    ("length", "0.3048", "pie pies feet foot ft"),
    ("length", "0.0254", "pulgada pulgadas polegada polegadas inch inches"),
    ("area", "10000", "ha hectarea hectareas hectare hectares"),
    ("area", "1000000", "km2 km²"),
    ("area", "1", "m2 m²"),
    ("mass", "0.001", "mg miligramo miligramos miligrama miligramas milligram milligrams"),
    ("mass", "1", "g gramo gramos grama gramas gram grams"),
    ("mass", "1000", "kg kilo kilos kilogramo kilogramos quilo quilos quilograma quilogramas kilogram kilograms"),
    ("mass", "1000000", "tonelada toneladas tonne tonnes"),
    ("mass", "453.59237", "libra libras pound pounds lb lbs"),
    ("volume", "1", "l litro litros liter liters litre litres"),
    ("volume", "0.001", "ml mililitro mililitros milliliter milliliters"),
    ("time", "1", "segundo segundos second seconds"),
    ("time", "60", "min minuto minutos minute minutes"),
    ("time", "3600", "h hora horas hour hours"),
    ("time", "86400", "dia dias day days"),
    ("time", "604800", "semana semanas week weeks"),
    ("month", "1", "mes meses month months"),
    ("month", "12", "ano anos year years"),
    ("month", "120", "decada decadas decade decades"),
    ("month", "1200", "siglo siglos seculo seculos century centuries"),
    ("share", "1", "% percent"),
    ("temperature", "1", "grado grados grau graus degree degrees °c °"),
    ("fahrenheit", "1", "°f"),
    ("euro", "1", "€ euro euros eur"),
    ("dollar", "1", "$ us$ dolar dolares dollar dollars usd"),
    ("real", "1", "r$ real reais brl"),
    ("sterling", "1", "£ esterlina esterlinas gbp"),
    ("peseta", "1", "peseta pesetas"),
    ("peso", "1", "peso pesos"),
    ("byte", "1", "byte bytes"),
    ("byte", "1000", "kb"),
    ("byte", "1000000", "mb"),
    ("byte", "1000000000", "gb"),
    ("byte", "1000000000000", "tb"),
    ("hertz", "1", "hz"),
    ("hertz", "1000", "khz"),
    ("hertz", "1000000", "mhz"),
    ("hertz", "1000000000", "ghz"),
    ("watt", "1", "w vatio vatios watt watts"),
    ("watt", "1000", "kw kilovatio kilovatios"),
    ("watt", "1000000", "mw megavatio megavatios megawatt megawatts"),
)

CARDINALS = {word: value for value, words in _UNITS.items() for word in words.split()}
SCALES = {word: value for value, words in _SCALES.items() for word in words.split()}
ORDINALS = {word: value for value, words in _ORDINALS.items() for word in words.split()}
MONTHS = {word: number for number, words in enumerate(_MONTHS, 1) for word in words.split()}
MONTH_ABBREVIATIONS = {word: number for number, words in enumerate(_MONTH_ABBREVIATIONS, 1) for word in words.split()}
MEASURES = {name: (kind, Decimal(size)) for kind, size, names in _MEASURES for name in names.split()}

# Numbers in one language, everyday words in another: "dos" is "of the" in Portuguese, "once" is "one time" in English.
ONLY_IN = {
    "dos": ("es",),
    "once": ("es",),
    "ten": ("en",),
    "mil": ("es", "pt"),
    "real": ("pt",),
    "min": ("es", "pt", "en"),
    "pie": ("es",),
    "pies": ("es",),
}
# Articles and pronouns as often as numbers: they prove a number but claim none.
UNSURE = frozenset(("un", "uno", "una", "um", "uma", "one"))
_EVERYDAY_ORDINALS = "cuarto cuarta quarto quarta quinta sexta nona"
# "The second" may be a time, "segundo" is "according to", "cuarto" a room, "sexta" a Friday.
UNSURE_ORDINALS = frozenset(
    word for word, value in ORDINALS.items() if value <= 2 or word in _EVERYDAY_ORDINALS.split()
)
