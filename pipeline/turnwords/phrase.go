package turnwords

// backchannels are what a listener says while the other talks.
//
//nolint:gochecknoglobals,misspell // read-only French
var backchannels = phrases(`oui
ouais
ouaip
mouais
oui oui
si
ok
okay
d'accord
d'ac
dac
entendu
compris
j'ai compris
je comprends
je vois
je sais
bien
très bien
bien sûr
bon
ah
ah bon
ah oui
ah ouais
oh
eh
hé
hein
hum
humhum
hm
hmm
hmmm
mh
mmh
mhm
mm
mmm
mm-hm
hm-hm
mm-mm
euh
voilà
exact
exactement
tout à fait
effectivement
en effet
absolument
parfait
super
génial
cool
nickel
top
chouette
ça marche
ça roule
c'est ça
c'est vrai
c'est clair
pas mal
carrément
évidemment
certes
vraiment
vas-y
continue
continuez
je t'écoute
je vous écoute
tiens
tiens tiens
waouh
wow
ha
haha
non
ah non
bah oui
ben oui
bah
ben
merci`)

// stopWords end the assistant's turn.
//
//nolint:gochecknoglobals // read-only
var stopWords = phrases(`stop
stoppe
arrête
arrêtez
arrête-toi
arrêtez-vous
arrête de parler
arrêtez de parler
arrête ça
arrêtez ça
attends
attendez
attends un peu
attends une seconde
attends deux secondes
attends une minute
attendez une seconde
attendez un instant
attends un instant
une seconde
un instant
une minute
deux secondes
deux minutes
non mais
mais non
non non
non non non
tais-toi
tais toi
taisez-vous
taisez vous
chut
silence
la ferme
ferme-la
ça suffit
c'est bon
c'est bon merci
assez
ça va
ça ira
laisse tomber
laissez tomber
laisse
oublie
oubliez
annule
annulez
pause
mets en pause
plus un mot
coupe
cesse
cessez
minute
halte
pas ça
ce n'est pas ça
c'est pas ça
ce n'est pas ce que j'ai demandé
c'est pas ce que j'ai demandé`)

// softeners may stand around a stop phrase without changing it.
//
//nolint:gochecknoglobals // read-only
var softeners = phrases(`brenda
élise
s'il te plaît
s'il vous plaît
svp
stp
merci
merci beaucoup
non
oui
ok
d'accord
bon
euh
ah
oh
hé
eh
hop
là
maintenant
tout de suite
allez
mais
pardon
désolé
désolée
excuse-moi
excusez-moi
je t'en prie
je vous en prie
un peu`)
