# ruff: noqa: SIM905
"""Three hundred known-item queries over a small corpus: part numbers, names, rare words, and typos.

Documents are sentences of like words around one thing each, so that nothing but the thing tells
them apart.
"""

import random
from typing import NamedTuple

KINDS = "pump valve bearing relay sensor filter gasket motor switch bracket".split()
USES = "cooling heating braking steering lighting drainage ventilation storage".split()
MADE = "steel brass rubber ceramic copper polymer aluminium titanium".split()
FIRST = (
    "Aoife Bjarne Chidi Dagny Emre Fionn Gudrun Hamza Ingrid Jorge Katya Lwazi Mei Nadia "
).split()
LAST = (
    "Okonkwo Szymanski Thorvaldsen Ulloa Vasquez Wojcik Xiang Yamaguchi Zielinski "
    "Achterberg Brzezinski Castellanos Dunkerley Eskildsen Farquharson Gutierrez "
).split()
RARE = (
    "absquatulate borborygmus cattywampus defenestration eigengrau "
    "floccinaucinihilipilification gongoozler humblebrag inglenook jentacular "
    "kakorrhaphiophobia lollygag mumpsimus nudiustertian omphaloskepsis petrichor "
    "quockerwodger rantipole sesquipedalian tatterdemalion ultracrepidarian vellichor "
    "widdershins xertz yarborough zenzizenzizenzic apricity bumfuzzle collywobbles "
    "discombobulate erinaceous flibbertigibbet gardyloo hiraeth impignorate jillick "
    "kerfuffle limerence macrosmatic nibling obelus pogonotrophy quire ratoon "
    "snollygoster tittynope umbriferous velleity wabbit yex zugzwang agelast "
    "bibliobibuli clinquant dysania evagation frustum grommet halcyon ichnology "
    "jactation kenspeckle lethologica mamihlapinatapai nacreous orogeny pulchritude "
    "quidnunc rhabdomancy susurrus taradiddle usufruct verklempt "
).split()


class Query(NamedTuple):
    """What is asked, which document is meant, and whether it holds the words as they are asked."""

    kind: str
    text: str
    document: str
    exact: bool


def known_items() -> tuple[dict[str, str], list[Query]]:
    """The documents by id, and 75 queries of each kind."""
    draw = random.Random(20)
    documents: dict[str, str] = {}
    queries: list[Query] = []

    def add(kind, thing, asked, exact=True):
        number = f"{kind}-{len(documents)}"
        what = draw.choice(KINDS), draw.choice(USES), draw.choice(MADE), draw.choice(KINDS)
        documents[number] = (
            f"The {what[0]} for {what[1]} is made of {what[2]} and fits the {what[3]}. "
            f"{thing} More {what[1]} equipment is in the catalogue."
        )
        queries.append(Query(kind, asked, number, exact))

    for _ in range(75):
        letters = "".join(draw.choice("ABCDEFGHJKLMNPRSTUVWXZ") for _ in range(draw.randint(2, 3)))
        part = f"{letters}{draw.choice('-/.')}{draw.randint(100, 99999)}"
        part += draw.choice(["", f"-{draw.choice('ABCX')}", f"/{draw.randint(1, 9)}"])
        asked = draw.choice([part, part.lower(), f"order {part}"])
        add("part", f"Order it as {part}.", asked)
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    for name in draw.sample(names, 75):
        add("name", f"It was designed by {name}.", draw.choice([name, name.lower()]))
    for word in (RARE * 2)[:75]:
        if any(query.text == word for query in queries):
            word = f"{word[:-1]}{draw.choice('bdgkp')}{draw.choice('ou')}x"
        add("rare", f"Its makers call it the {word}.", word)
    for word in draw.sample(RARE, 70) + draw.sample([w for w in RARE if len(w) > 12], 5):
        place = draw.randint(1, len(word) - 2)
        wrong = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        rare = next(query for query in queries if query.kind == "rare" and query.text == word)
        queries.append(Query("typo", wrong, rare.document, exact=False))
    return documents, queries
