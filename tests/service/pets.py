"""Documents that tests serve."""

import lsr

PETS = [
    lsr.Document("cat", "Cats sleep most of the day and hunt at night.", "Cats",
                 {"legs": 4, "home": ["house", "barn"]}),
    lsr.Document("dog", "Dogs bark, fetch sticks, and like company.", "Dogs",
                 {"legs": 4, "home": "house", "since": "2020-01-02"}),
    lsr.Document("owl", "Owls hunt mice at night without a sound.", "Owls",
                 {"legs": 2, "home": "barn", "fed": {"often": True}}),
    lsr.Document("bat", "Bats hunt by echo. " + "They sleep in the day, head down. " * 200, "Bats"),
]  # fmt: skip
