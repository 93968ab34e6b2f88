"""Function words of Spanish, Portuguese and English: articles, prepositions, pronouns, auxiliaries."""

_SPANISH = """
a al algo algún alguna algunas alguno algunos ante antes aquel aquella aquellas aquello aquellos aquí así aun aunque
bajo bien cada como cómo con contra cual cuál cuales cuáles cuando cuándo cuanta cuánta cuantas cuántas cuanto cuánto
cuantos cuántos cuya cuyas cuyo cuyos de del desde donde dónde durante e el él ella ellas ello ellos en entre era eran
eres es esa esas ese eso esos esta está estaba estaban están estar estas este esto estos fue fueron ha haber había
habían habido hace hacen hacer han has hasta hay he la las le les lo los más me mi mientras mis muy nada ni no nos
nosotros nuestra nuestras nuestro nuestros o os otra otras otro otros para pero por porque pues que qué quien quién
quienes quiénes se sea sean según ser si sí sido siendo sin sobre son su sus también tan tanto te tiene tienen toda
todas todo todos tras tu tus un una unas uno unos usted ustedes y ya yo
"""
_PORTUGUESE = """
a à ainda algo algum alguma algumas alguns ante antes ao aos aquela aquelas aquele aqueles aquilo as às assim até bem
cada com como contra cuja cujas cujo cujos da daquela daquele das de dela delas dele deles depois desde dessa desse
desta deste do dos durante e é ela elas ele eles em entre era eram essa essas esse esses esta está estão estar estas
este estes eu faz fazem fazer foi foram há havia isso isto já la lhe lhes lo mais mas me mesmo meu meus minha minhas
muito na não nas nem no nos nós nossa nossas nosso nossos num numa o onde os ou outra outras outro outros para pela
pelas pelo pelos pois por porque quais qual quando quanta quantas quanto quantos que quê quem são se sem ser será seu
seus sido sim só sobre sua suas também tão te tem têm ter tinha tinham toda todas todo todos tu um uma umas uns você
vocês
"""
_ENGLISH = """
a about after again all also am an and any are as at be because been before being between both but by can could did do
does doing during each few for from further had has have having he her here hers him his how i if in into is it its
itself me more most my no nor not of off on once only or other our ours out over own same she should so some such than
that the their theirs them then there these they this those through to too under until up very was we were what when
where which while who whom whose why will with would you your yours
"""

STOP_WORDS = {
    "es": frozenset(_SPANISH.split()),
    "pt": frozenset(_PORTUGUESE.split()),
    "en": frozenset(_ENGLISH.split()),
}
