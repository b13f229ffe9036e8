"""People's short answers in one form, as the VQA challenge compares them."""

import re

# Signs that a space takes the place of. The challenge's evaluation leaves others ($, %, &, #, *) alone; it keeps
# apostrophes, which tell a possessive from a plural, and colons, which are in times.
_SIGNS = str.maketrans(dict.fromkeys(';/[]"{}()=+\\_-><@`,?!', " "))
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}

# Words that take an ending with an apostrophe. Left out are those that are another word without it: id, ill, its, lets,
# shed, shell, wed, well, were, whore.
_ENDINGS = {
    "n't": "ai are ca could did does do had has have is might must need should was were wo would",
    "'s": "he here how she that there what when where who",
    "'re": "they what you",
    "'ve": "could i might must should they we would you",
    "'ll": "how it that they what who you",
    "'d": "he how it that they where who you",
    "'m": "i",
}
_CONTRACTIONS = {
    word + ending.replace("'", ""): word + ending for ending, words in _ENDINGS.items() for word in words.split()
} | {"maam": "ma'am", "oclock": "o'clock", "yall": "y'all"}


def normalised(text: str) -> str:
    """The first line of an answer as it is compared with people's.

    Lower case; no full stops but in decimals, no commas between digits, spaces for other punctuation; no articles;
    digits for the number words up to ten; apostrophes where a contraction lacks them. After the description at
    https://visualqa.org/evaluation.html; Antol et al., *VQA: Visual Question Answering*, ICCV 2015.
    """
    lines = text.strip().lower().splitlines()
    line = lines[0] if lines else ""
    line = re.sub(r"\.(?!\d)", "", line)
    line = re.sub(r"(?<=\d),(?=\d)", "", line)
    words = [_NUMBERS.get(word, word) for word in line.translate(_SIGNS).split() if word not in _ARTICLES]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words)
