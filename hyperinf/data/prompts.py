"""Prompt templates, all of which stand in ``prompts.yaml`` beside this file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import ascii_uppercase
from typing import Any

from hyperinf.data.samples import Sample
from hyperinf.errors import InputError, brief

_FILE = "prompts.yaml"
_PLACE = re.compile(r"\{(\w*)\}")
_PARTS = ("context", "question", "choices", "image")
_KEYS = ("prompt", "answer", "choice", "image", "requires", "optional")


@dataclass(frozen=True)
class Template:
    """Tell how a sample is put; the keys of ``prompts.yaml``, which explains them."""

    name: str
    prompt: str
    answer: str
    choice: str = ""
    image: str = ""
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """Hold a sample as a model reads it.

    Attributes:
        before: the prompt up to the context.
        context: the only part that may be cut, from its left; the prompt is ``before + context + after``.
        after: the prompt from the context on.
        choices: the continuations to choose from, with their leading space; none for a short answer.
        answer: the continuation that is the observed answer.
    """

    before: str
    context: str
    after: str
    choices: tuple[str, ...]
    answer: str


def load_template(name: str) -> Template:
    """Find the template of that name.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    templates = _shipped()
    if name not in templates:
        raise InputError(f"template: got {name!r}, expected one of {', '.join(templates)} ({_FILE})")
    return templates[name]


def parse_templates(text: str, where: str) -> dict[str, Template]:
    """Read templates from YAML and check each.

    Args:
        text: the YAML.
        where: the file, for messages.

    Raises:
        InputError: naming the template and the key that is wrong.
    """
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(
            f"{where}: got what is not YAML ({' '.join(str(error).split())}), expected templates by name"
        ) from None
    if not isinstance(found, dict):
        raise InputError(f"{where}: got a {type(found).__name__}, expected templates by name")
    return {str(name): _template(f"{where}: template {name!r}", str(name), value) for name, value in found.items()}


def render(template: Template, sample: Sample) -> Rendered:
    """Put a sample to a model.

    Raises:
        InputError: the sample lacks a part that the template requires, has an image for which it has no place, or has
            more choices than there are letters.
    """
    for part in template.requires:
        if not getattr(sample, part):
            raise InputError(
                f"template {template.name!r}: got sample {sample.sample_id} without {part}, expected it in each"
            )
    if sample.image and not template.image:
        raise InputError(
            f"template {template.name!r}: got sample {sample.sample_id} with an image, for which it has no place,"
            " expected a template with {image}, such as question or vqa"
        )
    continuations = _continuations(template, sample)
    if sample.answer not in continuations:
        raise InputError(f"sample {sample.sample_id}: got answer {brief(sample.answer)}, expected one of its choices")
    shown = {
        "context": sample.context,
        "question": sample.question,
        "choices": "\n".join(_fill(template.choice, each) for each in _lettered(template, sample)),
        "image": template.image if sample.image else "",
    }
    lines = [line for line in template.prompt.split("\n") if not _is_vacant(line, shown)]
    before, context, after = "\n".join(lines).partition("{context}")
    return Rendered(
        before=_fill(before, shown),
        context=_fill(context, shown),
        after=_fill(after, shown),
        choices=tuple(continuations.values()) if sample.choices else (),
        answer=continuations[sample.answer],
    )


def _continuations(template: Template, sample: Sample) -> dict[str, str]:
    """By answer, what the model is to continue with."""
    if not sample.choices:
        return {sample.answer: _fill(template.answer, {"text": sample.answer})}
    return {each["text"]: _fill(template.answer, each) for each in _lettered(template, sample)}


def _lettered(template: Template, sample: Sample) -> list[dict[str, str]]:
    letters = "{letter}" in template.answer + template.choice
    if letters and len(sample.choices) > len(ascii_uppercase):
        raise InputError(
            f"template {template.name!r}: got {len(sample.choices)} choices for sample {sample.sample_id},"
            f" expected no more than the {len(ascii_uppercase)} letters"
        )
    return [
        {"letter": ascii_uppercase[number] if letters else "", "text": text}
        for number, text in enumerate(sample.choices)
    ]


def _fill(text: str, parts: Mapping[str, str]) -> str:
    """Fill in the places, once: what is filled in may have braces of its own."""
    return _PLACE.sub(lambda place: parts[place[1]], text)


def _is_vacant(line: str, parts: Mapping[str, str]) -> bool:
    places = _PLACE.findall(line)
    return bool(places) and not any(parts[place] for place in places)


@cache
def _shipped() -> dict[str, Template]:
    return parse_templates(files("hyperinf.data").joinpath(_FILE).read_text(encoding="utf-8"), _FILE)


def _template(where: str, name: str, value: Any) -> Template:
    if not isinstance(value, dict):
        raise InputError(f"{where}: got a {type(value).__name__}, expected the keys {', '.join(_KEYS)}")
    for key in value:
        if key not in _KEYS:
            raise InputError(f"{where}: got key {key!r}, expected one of {', '.join(_KEYS)}")
    texts = {key: _text(where, value, key) for key in ("prompt", "answer", "choice", "image")}
    requires = _parts(where, value, "requires", _PARTS)
    optional = _parts(where, value, "optional", ("image",))
    places = _places(where, "prompt", texts["prompt"], _PARTS)
    _check_prompt(where, texts, places)
    _check_answer(where, texts["answer"], places)
    needed = [part for part in ("choices", "image") if part in places and part not in optional]
    return Template(name, **texts, requires=tuple(dict.fromkeys([*requires, *needed])))


def _text(where: str, value: Mapping[str, Any], key: str) -> str:
    text = value.get(key, "")
    if not isinstance(text, str):
        raise InputError(f"{where}: got {key} {text!r}, expected a string")
    return text


def _parts(where: str, value: Mapping[str, Any], key: str, known: tuple[str, ...]) -> list[str]:
    parts = value.get(key, [])
    if not isinstance(parts, list) or not all(part in known for part in parts):
        raise InputError(f"{where}: got {key} {parts!r}, expected a list of {', '.join(known)}")
    return parts


def _places(where: str, key: str, text: str, known: tuple[str, ...]) -> list[str]:
    places = _PLACE.findall(text)
    for place in places:
        if place not in known:
            expected = ", ".join(f"{{{each}}}" for each in known)
            raise InputError(f"{where}: got {{{place}}} in {key}, expected one of {expected}")
        if places.count(place) > 1:
            raise InputError(f"{where}: got {{{place}}} twice in {key}, expected it once")
    return places


def _check_prompt(where: str, texts: Mapping[str, str], places: list[str]) -> None:
    if not texts["prompt"] or texts["prompt"] != texts["prompt"].rstrip():
        raise InputError(
            f"{where}: got an empty prompt or white space at its end, expected the answer to begin with that (write |-)"
        )
    if not {"context", "question"} & set(places):
        raise InputError(f"{where}: got neither {{context}} nor {{question}} in prompt, expected one of them")
    if ("choices" in places) != bool(_places(where, "choice", texts["choice"], ("letter", "text"))):
        raise InputError(f"{where}: got only one of choice and the prompt's {{choices}}, expected both or none")
    if ("image" in places) != bool(texts["image"]):
        raise InputError(f"{where}: got only one of image and the prompt's {{image}}, expected both or none")


def _check_answer(where: str, answer: str, places: list[str]) -> None:
    filled = _places(where, "answer", answer, ("letter", "text"))
    if len(filled) != 1 or not re.match(r" \S", answer):
        raise InputError(f"{where}: got answer {answer!r}, expected one space and just one of {{letter}}, {{text}}")
    if filled == ["letter"] and "choices" not in places:
        raise InputError(f"{where}: got a letter as answer, expected {{choices}} in the prompt")
