"""Prompt templates: what a model is shown, and which templates are refused."""

from importlib.resources import files

import pytest

from hyperinf.data.prompts import Rendered, Template, load_template, parse_templates, render
from hyperinf.data.questions import FORMATS, Question
from hyperinf.errors import InputError

MOON = Question("m/1", "The moon is far.", "What is far?", ("sun", "moon", "sea"), "moon", "moon")


def ask(template: str | Template, question: Question = MOON) -> Rendered:
    return render(load_template(template) if isinstance(template, str) else template, question)


def prompt(rendered: Rendered) -> str:
    return rendered.before + rendered.context + rendered.after


def test_a_headline_is_asked_in_just_these_words():
    headline = Question("s/1", "Area man {wins}", "Is this headline sarcastic?", ("yes", "no"), "no", "yes")
    assert ask("headline", headline) == Rendered(
        before="Headline: ",
        context="Area man {wins}",
        after="\nIs this headline sarcastic? Answer:",
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
    bare = ask("multiple_choice", Question("m/2", "", "What?", ("a", "b"), "a", "a"))
    assert (bare.before, bare.context, bare.after) == ("Question: What?\nA. a\nB. b\nAnswer:", "", "")


def test_a_completion_is_the_text_and_its_endings():
    hellaswag = Question("h/1", "A man rows. he", "", ("stops.", "sings."), "sings.", "sings.")
    assert ask("completion", hellaswag) == Rendered("", "A man rows. he", "", (" stops.", " sings."), " sings.")
    piqa = Question("p/1", "", "To open a jar", ("twist it", "eat it"), "twist it", "twist it")
    assert prompt(ask("completion", piqa)) == "To open a jar"


def test_a_short_answer_has_no_choices():
    sums = Question("q/1", "", "1 + 1?", (), "2", "2")
    assert ask("question", sums) == Rendered("Question: 1 + 1?\nAnswer:", "", "", (), " 2")


def test_an_image_has_its_place_in_the_prompt():
    picture = Question("v/1", "", "Which colour?", ("red", "blue"), "red", "red", image="images/1.png")
    assert prompt(ask("vqa", picture)) == "<image>\nQuestion: Which colour?\nAnswer:"
    with pytest.raises(InputError, match="template 'vqa': question m/1 has no image"):
        ask("vqa")


def test_braces_of_the_data_are_no_places():
    sly = Question("b/1", "see {question}", "or {choices}?", ("{letter}", "{context}"), "{context}", "{context}")
    rendered = ask("multiple_choice", sly)
    assert prompt(rendered) == "see {question}\nQuestion: or {choices}?\nA. {letter}\nB. {context}\nAnswer:"
    assert rendered.choices == (" {letter}", " {context}")


def test_every_prompt_ends_without_and_every_continuation_begins_with_white_space():
    for name in parse_templates(files("hyperinf.data").joinpath("prompts.yaml").read_text(), "prompts.yaml"):
        rendered = ask(name, Question("a/1", "c", "q", ("x", "y"), "x", "x", image="i.png"))
        assert prompt(rendered) == prompt(rendered).rstrip()
        assert all(each.startswith(" ") and not each.startswith("  ") for each in (*rendered.choices, rendered.answer))


def test_every_format_has_a_template_that_is_there():
    for form in FORMATS.values():
        assert load_template(form.template).name == form.template


def test_a_part_that_the_template_requires_must_be_there():
    with pytest.raises(InputError, match="template 'headline': question q/1 has no context"):
        ask("headline", Question("q/1", "", "What?", ("a", "b"), "a", "a"))
    with pytest.raises(InputError, match="template 'letter': question q/1 has no choices"):
        ask("letter", Question("q/1", "", "What?", (), "a", "a"))
    many = tuple(map(str, range(27)))
    with pytest.raises(InputError, match="question q/1 has 27 choices, but there are 26 letters"):
        ask("letter", Question("q/1", "", "What?", many, "3", "3"))
    assert len(ask("question", Question("q/1", "", "What?", many, "3", "3")).choices) == 27
    with pytest.raises(InputError, match="question q/1: answer 'c' is none of its choices"):
        ask("letter", Question("q/1", "", "What?", ("a", "b"), "c", "c"))


def test_an_unknown_template_is_refused_with_those_there():
    with pytest.raises(
        InputError, match="'essay' is not known; known are headline, multiple_choice, letter, completion, question, vqa"
    ):
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
        ({"prompt": "{question}", "answer": " {text}", "colour": "red"}, "key 'colour' is not known; known are prompt"),
        ({"prompt": "", "answer": " {text}"}, "prompt is empty or ends in white space"),
        ({"prompt": "{question}\n", "answer": " {text}"}, "prompt is empty or ends in white space"),
        ({"prompt": "Say it", "answer": " {text}"}, "prompt has neither {context} nor {question}"),
        ({"prompt": "{question} {quest}", "answer": " {text}"}, "prompt has {quest}, expected of {context}"),
        ({"prompt": "{context} {context}", "answer": " {text}"}, "prompt has {context} twice"),
        ({"prompt": ["{context}"], "answer": " {text}"}, "prompt is ['{context}'], expected a string"),
        ({"prompt": "{context}", "answer": "{text}"}, "answer is '{text}', expected one space and just one"),
        ({"prompt": "{context}", "answer": "  {text}"}, "expected one space and just one"),
        ({"prompt": "{context}", "answer": " yes"}, "expected one space and just one"),
        ({"prompt": "{context}", "answer": " {letter} {text}"}, "expected one space and just one"),
        ({"prompt": "{context}"}, "expected one space and just one"),
        ({"prompt": "{context}", "answer": " {letter}"}, "a letter, but the prompt does not show the choices"),
        ({"prompt": "{context}{choices}", "answer": " {text}"}, "choice and the prompt's {choices} need each other"),
        (
            {"prompt": "{context}", "answer": " {text}", "choice": "{text}"},
            "choice and the prompt's {choices} need each other",
        ),
        ({"prompt": "{context}{image}", "answer": " {text}"}, "image and the prompt's {image} need each other"),
        (
            {"prompt": "{context}", "answer": " {text}", "requires": ["luck"]},
            "requires is ['luck'], expected a list of",
        ),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_by_its_name_and_key(keys, line):
    with pytest.raises(InputError) as error:
        parse(**keys)
    assert str(error.value).startswith("mine.yaml: template 'mine': ")
    assert line in str(error.value)


def test_a_file_that_holds_no_templates_is_refused():
    with pytest.raises(InputError, match="mine.yaml: not YAML"):
        parse_templates("a: [", "mine.yaml")
    with pytest.raises(InputError, match="mine.yaml: expected templates by name"):
        parse_templates("- a", "mine.yaml")
    with pytest.raises(InputError, match="template 'a': expected the keys prompt, answer"):
        parse_templates("a: b", "mine.yaml")
