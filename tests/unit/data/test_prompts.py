"""Prompt templates: what a model is shown, and which templates are refused."""

from importlib.resources import files

import pytest

from hyperinf.data.formats.form import known_format
from hyperinf.data.prompts import Rendered, Template, load_template, parse_templates, render
from hyperinf.data.samples import Sample
from hyperinf.errors import InputError
from hyperinf.settings.registers import FORMATS, templates

MOON = Sample("m/1", "The moon is far.", "What is far?", ("sun", "moon", "sea"), "moon", "moon")


def ask(template: str | Template, sample: Sample = MOON) -> Rendered:
    return render(load_template(template) if isinstance(template, str) else template, sample)


def prompt(rendered: Rendered) -> str:
    return rendered.before + rendered.context + rendered.after


def test_a_headline_is_asked_in_just_these_words():
    headline = Sample("s/1", "Area man {wins}", "Is this headline sarcastic?", ("yes", "no"), "no", "yes")
    assert ask("headline", headline) == Rendered(
        before="",
        context="Area man {wins}",
        after="\nSarcastic?",
        choices=(" yes", " no"),
        answer=" no",
    )


def test_choices_are_shown_with_letters_and_answered_by_text_or_by_letter():
    shown = "The moon is far.\nQuestion: What is far?\nA. sun\nB. moon\nC. sea\nAnswer:"
    by_text, by_letter = ask("multiple_choice"), ask("letter")
    assert prompt(by_text) == prompt(by_letter) == shown
    assert (by_text.choices, by_text.answer) == ((" sun", " moon", " sea"), " moon")
    assert (by_letter.choices, by_letter.answer) == ((" A", " B", " C"), " B")


def test_only_the_context_may_be_cut_and_lines_without_content_are_left_out():
    rendered = ask("multiple_choice")
    assert (rendered.before, rendered.context) == ("", "The moon is far.")
    bare = ask("multiple_choice", Sample("m/2", "", "What?", ("a", "b"), "a", "a"))
    assert (bare.before, bare.context, bare.after) == ("Question: What?\nA. a\nB. b\nAnswer:", "", "")


def test_a_completion_is_the_text_and_its_endings():
    hellaswag = Sample("h/1", "A man rows. he", "", ("stops.", "sings."), "sings.", "sings.")
    assert ask("completion", hellaswag) == Rendered("", "A man rows. he", "", (" stops.", " sings."), " sings.")
    piqa = Sample("p/1", "", "To open a jar", ("twist it", "eat it"), "twist it", "twist it")
    assert prompt(ask("completion", piqa)) == "To open a jar"


def test_a_short_answer_has_no_choices():
    sums = Sample("q/1", "", "1 + 1?", (), "2", "2")
    assert ask("question", sums) == Rendered("Question: 1 + 1?\nAnswer:", "", "", (), " 2")


def test_an_image_has_its_place_in_the_prompt():
    picture = Sample("v/1", "", "Which colour?", ("red", "blue"), "red", "red", image="images/1.png")
    assert prompt(ask("vqa", picture)) == "<image>\nQuestion: Which colour?\nAnswer:"
    with pytest.raises(InputError, match="template 'vqa': got sample m/1 without image"):
        ask("vqa")


def test_braces_of_the_data_are_no_places():
    sly = Sample("b/1", "see {question}", "or {choices}?", ("{letter}", "{context}"), "{context}", "{context}")
    rendered = ask("multiple_choice", sly)
    assert prompt(rendered) == "see {question}\nQuestion: or {choices}?\nA. {letter}\nB. {context}\nAnswer:"
    assert rendered.choices == (" {letter}", " {context}")


def test_every_prompt_ends_without_and_every_continuation_begins_with_white_space():
    for name in parse_templates(files("hyperinf.data").joinpath("prompts.yaml").read_text(), "prompts.yaml"):
        image = "i.png" if load_template(name).image else ""
        rendered = ask(name, Sample("a/1", "c", "q", ("x", "y"), "x", "x", image=image))
        assert prompt(rendered) == prompt(rendered).rstrip()
        assert all(each.startswith(" ") and not each.startswith("  ") for each in (*rendered.choices, rendered.answer))


def test_every_format_has_a_template_that_is_there():
    for name in FORMATS:
        template = known_format(name).template
        assert load_template(template).name == template


def test_the_settings_know_the_templates_that_are_there():
    text = files("hyperinf.data").joinpath("prompts.yaml").read_text()
    assert set(templates()) == set(parse_templates(text, "prompts.yaml"))


def test_a_labelled_text_is_answered_by_the_name_of_its_class():
    pair = Sample("t/1", "first", "second", ("bad", "good"), "good", "bad")
    assert ask("labelled", pair) == Rendered("", "first", "\nsecond\nLabel:", (" bad", " good"), " good")
    assert prompt(ask("labelled", Sample("t/2", "only", "", ("bad", "good"), "bad", "bad"))) == "only\nLabel:"


def test_a_part_that_the_template_requires_must_be_there():
    with pytest.raises(InputError, match="template 'headline': got sample q/1 without context"):
        ask("headline", Sample("q/1", "", "What?", ("a", "b"), "a", "a"))
    with pytest.raises(InputError, match="template 'letter': got sample q/1 without choices"):
        ask("letter", Sample("q/1", "", "What?", (), "a", "a"))
    many = tuple(map(str, range(27)))
    with pytest.raises(InputError, match="got 27 choices for sample q/1, expected no more than the 26 letters"):
        ask("letter", Sample("q/1", "", "What?", many, "3", "3"))
    assert len(ask("question", Sample("q/1", "", "What?", many, "3", "3")).choices) == 27
    with pytest.raises(InputError, match="sample q/1: got answer 'c', expected one of its choices"):
        ask("letter", Sample("q/1", "", "What?", ("a", "b"), "c", "c"))


def test_an_unknown_template_is_refused_with_those_there():
    with pytest.raises(InputError, match="got 'essay', expected one of headline, labelled, multiple_choice"):
        load_template("essay")


def parse(**keys: object) -> Template:
    import yaml

    return parse_templates(yaml.safe_dump({"mine": keys}), "mine.yaml")["mine"]


def test_a_template_is_data():
    mine = parse(prompt="{question} ({choices})", choice="{text}", answer=" {text}")
    assert mine == Template("mine", "{question} ({choices})", " {text}", "{text}", "", ("choices",))
    assert prompt(ask(mine)) == "What is far? (sun\nmoon\nsea)"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"prompt": "{question}", "answer": " {text}", "colour": "red"}, "got key 'colour', expected one of prompt"),
        ({"prompt": "", "answer": " {text}"}, "got an empty prompt or white space at its end"),
        ({"prompt": "{question}\n", "answer": " {text}"}, "got an empty prompt or white space at its end"),
        ({"prompt": "Say it", "answer": " {text}"}, "got neither {context} nor {question}"),
        ({"prompt": "{question} {quest}", "answer": " {text}"}, "got {quest} in prompt, expected one of {context}"),
        ({"prompt": "{context} {context}", "answer": " {text}"}, "got {context} twice in prompt"),
        ({"prompt": ["{context}"], "answer": " {text}"}, "got prompt ['{context}'], expected a string"),
        ({"prompt": "{context}", "answer": "{text}"}, "got answer '{text}', expected one space and just one"),
        ({"prompt": "{context}", "answer": "  {text}"}, "expected one space and just one"),
        ({"prompt": "{context}", "answer": " yes"}, "expected one space and just one"),
        ({"prompt": "{context}", "answer": " {letter} {text}"}, "expected one space and just one"),
        ({"prompt": "{context}"}, "expected one space and just one"),
        ({"prompt": "{context}", "answer": " {letter}"}, "got a letter as answer, expected {choices} in the prompt"),
        ({"prompt": "{context}{choices}", "answer": " {text}"}, "got only one of choice and the prompt's {choices}"),
        (
            {"prompt": "{context}", "answer": " {text}", "choice": "{text}"},
            "got only one of choice and the prompt's {choices}",
        ),
        ({"prompt": "{context}{image}", "answer": " {text}"}, "got only one of image and the prompt's {image}"),
        (
            {"prompt": "{context}", "answer": " {text}", "requires": ["luck"]},
            "got requires ['luck'], expected a list of",
        ),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_by_its_name_and_key(keys, line):
    with pytest.raises(InputError) as error:
        parse(**keys)
    assert str(error.value).startswith("mine.yaml: template 'mine': ")
    assert line in str(error.value)


def test_a_file_that_holds_no_templates_is_refused():
    with pytest.raises(InputError, match="mine.yaml: got what is not YAML"):
        parse_templates("a: [", "mine.yaml")
    with pytest.raises(InputError, match="mine.yaml: got a list, expected templates by name"):
        parse_templates("- a", "mine.yaml")
    with pytest.raises(InputError, match="template 'a': got a str, expected the keys prompt, answer"):
        parse_templates("a: b", "mine.yaml")
