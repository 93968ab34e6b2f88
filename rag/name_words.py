"""Words that matter for telling names: those that open sentences, and names that languages write differently.

Every word is without accents.
"""

_OPENERS = """
actualmente ademas ahora algunas algunos alguna alguno ambas ambos asi aunque cada casi como cuando debido dentro
despues dicha dicho durante ejemplo entonces entre hacia hasta hay luego mientras mucha muchas mucho muchos nadie
ningun ninguna nada no nunca otra otras otro otros pero pese porque primero puede pueden pues segun segundo si siempre
sin sobre solo tambien tampoco tanto todas todos tras varias varios ya aqui alli esta este estas estos nacido nacida
murio usa utiliza tiene mide fundado fundada conocido conocida situado situada localizado localizada ubicado ubicada
agora alem algumas alguns ainda antes apenas apesar assim conforme contudo depois desde devido enquanto entao
entretanto existe existem exemplo ha isso isto ja mais mas muitas muitos nao ninguem nenhum nenhuma outra outras outro
outros porem portanto quando quase sem sempre sim tambem nasceu nascido nascida morreu viveu ocorreu aconteceu recebeu
venceu escreveu conhecido conhecida mede tem
according additionally after all also although another any as at because before both but by despite during each either
even every few finally first for from furthermore hence however if in instead it its later many more moreover most
neither no nobody none not nothing now on once one only other others out over second several similarly since so some
such that the their then there therefore these they this those though through thus to today two under unlike until upon
we what when where whereas which while who why with within without yes yet you born located founded built known based
named used called people years
"""
_SAME = """
spain espana espanha | spanish espanol espanola espanoles espanolas espanhol espanhola espanhois | france francia franca
| french frances francesa franceses francesas | germany alemania alemanha | german aleman alemana alemanes alemao alema
alemaes | england inglaterra | english ingles inglesa ingleses inglesas | italy italia | italian italiano italiana
italianos italianas | portuguese portugues portuguesa portugueses | brazil brasil | brazilian brasileno brasilena
brasileiro brasileira brasileiros | europe europa | european europeo europea europeos europeas europeu europeia europeus
| american americano americana americanos americanas estadounidense estadounidenses | russia rusia | russian ruso rusa
rusos russo russa russos | chinese chino chinos chines chinesa chineses | japan japon japao | japanese japones japonesa
japoneses | greece grecia | greek griego griega griegos grego grega gregos | rome roma | roman romano romana romanos |
london londres | vienna viena | berlin berlim | munich munique | warsaw varsovia | moscow moscu moscou moscovo |
geneva ginebra genebra | brussels bruselas bruxelas | lisbon lisboa | seville sevilla sevilha | athens atenas |
egypt egipto egito | turkey turquia | poland polonia | sweden suecia | switzerland suiza suica | netherlands holanda |
africans africano africana | asian asiatico asiatica | united unidos unidas unido | states estados | kingdom reino |
nations naciones nacoes | king rei rey | york iorque | new nueva nuevo nova novo | south sur sul | north norte |
east este leste | west oeste | war wars guerra guerras | world mundial mundo |
christian cristiano cristiana cristianos cristao crista cristaos | catholic catolico catolica | latin latino latina |
monday lunes | tuesday martes terca-feira | wednesday miercoles quarta-feira | thursday jueves quinta-feira |
friday viernes sexta-feira | saturday sabado | sunday domingo | century centuries siglo siglos seculo seculos |
university universidad universidade | church iglesia igreja | empire imperio | ocean oceano | river rio |
island isla ilha | saint san santo santa sao
"""
_COUNTED = """
siglo siglos seculo seculos century capitulo capitulos chapter tomo tomos volumen volume parte part titulo title
articulo artigo article fase phase tipo type clase classe class nivel nivel level grado grau grade acto ato act libro
livro book anexo annex apendice appendix seccion secao section tabla tabela table figura figure fig cap vol guerra war
"""

OPENERS = frozenset(_OPENERS.split())
"""Words that begin sentences and are in no list of stop words."""

ALIASES = {word: number for number, group in enumerate(_SAME.split("|")) for word in group.split()}
"""Words that name the same in two languages have the same number."""

COUNTED = frozenset(_COUNTED.split())
"""What is counted in Roman numerals besides kings."""
