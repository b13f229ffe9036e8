"""What a model reads of a row, and which of it the loss counts."""

import pytest

from hyperinf.data.formats.field_parsers import NoAnswerError, RowError
from hyperinf.errors import InputError
from hyperinf.models.shapes import byte_tokenizer
from hyperinf.selecting.exchanges import read_exchange
from hyperinf.selecting.putting import Putter, reader_of

CHATML = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# Thoughts stand in the last answer only, and the invitation to it already begins one.
THINKING = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}"
    "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|><think>{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
DATED = "{{ date_string is defined }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


def chat(*contents, system=None, **last):
    turns = [{"role": ("user", "assistant")[place % 2], "content": each} for place, each in enumerate(contents)]
    turns[-1] |= last
    return read_exchange({"messages": ([{"role": "system", "content": system}] if system else []) + turns})


def putter(template=None, **options):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    return Putter(tokenizer, **options)


def counted(pieces):
    return [text for text, is_counted in pieces if is_counted]


def whole(pieces):
    return "".join(text for text, _ in pieces)


def test_the_answers_of_all_turns_count_with_their_ends():
    pieces, plain = putter(CHATML).pieces(chat("Hi", "Ho", "And?", "So", system="Be brief"))
    assert not plain
    assert counted(pieces) == ["Ho<|end|>\n", "So<|end|>\n"]
    assert whole(pieces).startswith("<|system|>Be brief<|end|>\n<|user|>Hi")


def test_a_template_that_shows_earlier_answers_in_another_way_has_them_looked_for():
    pieces, _ = putter(THINKING).pieces(chat("Hi", "Ho", "Ho?", "So"))
    # The invitation to the last one has begun the thought already.
    assert counted(pieces) == ["Ho", "</think>So<|end|>"]
    before = "<|user|>Hi<|end|><|assistant|>Ho<|end|><|user|>Ho?<|end|>"
    assert whole(pieces) == f"{before}<|assistant|><think></think>So<|end|>"


def test_a_template_without_a_system_has_the_user_say_it():
    pieces, _ = putter(NO_SYSTEM).pieces(chat("Hi", "Ho", system="Be brief"))
    assert whole(pieces) == "[user]Be brief\n\nHi[assistant]Ho"
    assert counted(pieces) == ["Ho"]


def test_a_date_in_a_template_is_the_same_every_day():
    assert whole(putter(DATED).pieces(chat("Hi", "Ho"))[0]).startswith("True")


def test_what_is_said_after_the_last_answer_is_not_read():
    pieces, _ = putter(CHATML).pieces(chat("Hi", "Ho", "Thanks"))
    assert whole(pieces).endswith("Ho<|end|>\n")


@pytest.mark.parametrize("template", [CHATML, None], ids=["template", "plain"])
def test_a_turn_of_weight_0_does_not_count(template):
    row = chat("Hi", "Ho", "And?", "So")
    row.messages[1]["weight"] = 0
    assert [text.partition("<")[0] for text in counted(putter(template).pieces(row)[0])] == ["So"]


@pytest.mark.parametrize("template", [CHATML, None], ids=["template", "plain"])
def test_a_conversation_without_an_answer_cannot_be_used(template):
    with pytest.raises(NoAnswerError):
        putter(template).pieces(chat("Hi"))
    with pytest.raises(NoAnswerError):
        putter(template).pieces(chat("Hi", "Ho", weight=0))


def test_without_a_template_roles_are_named_and_it_is_said():
    plain = putter()
    pieces, closed = plain.pieces(chat("Hi", "Ho", "And?", "So"))
    assert closed
    assert whole(pieces) == "User: Hi\nAssistant: Ho\nUser: And?\nAssistant: So"
    assert counted(pieces) == ["Ho", "So"]
    assert "no chat template" in plain.described


@pytest.mark.parametrize("chat_wanted", [True, False])
def test_plain_rows_are_put_by_the_template_unless_that_is_not_wanted(chat_wanted):
    row = read_exchange({"prompt": "2 + 2 =", "completion": " 4"})
    pieces, plain = putter(CHATML, chat=chat_wanted).pieces(row)
    assert plain is not chat_wanted
    assert whole(pieces) == ("<|user|>2 + 2 =<|end|>\n<|assistant|>4<|end|>\n" if chat_wanted else "2 + 2 = 4")


def test_an_instruction_without_a_template_is_put_as_alpaca_does():
    text = whole(putter().pieces(read_exchange({"instruction": "Add", "input": "1 1", "output": "2"}))[0])
    assert text.startswith("Below is an instruction that describes a task, paired with")
    assert text.endswith("### Instruction:\nAdd\n\n### Input:\n1 1\n\n### Response:\n2")


def test_of_a_text_everything_counts():
    assert putter(CHATML).pieces(read_exchange({"text": "All of it"})) == ([("All of it", True)], True)


def test_a_template_that_cannot_take_a_row_says_so():
    with pytest.raises(RowError, match="chat template"):
        putter("{{ raise_exception('roles must alternate') }}").pieces(chat("Hi", "Ho"))


def test_a_chat_template_of_one_s_own_is_used(tmp_path):
    file = tmp_path / "mine.jinja"
    file.write_text(CHATML)
    use, columns, own, _ = reader_of(file)
    assert (columns, own) == ((), CHATML)
    mine = putter(own=own)
    assert counted(mine.pieces(use({"prompt": "Hi", "completion": "Ho"}))[0]) == ["Ho<|end|>\n"]
    assert "given" in mine.described


def test_a_template_of_columns_reads_any_table(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text('prompt: "Title: {headline of it}\\nSection:"\nanswer: " {section}"\n')
    use, columns, own, described = reader_of(file)
    assert (set(columns), own) == ({"headline of it", "section"}, None)
    pieces, plain = putter(CHATML).pieces(use({"headline of it": "{x} wins", "section": 3}))
    assert (pieces, plain) == ([("Title: {x} wins\nSection:", False), (" 3", True)], True)
    assert "mine.yaml" in described
    with pytest.raises(RowError, match="section"):
        use({"headline of it": "x"})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jinja", "{% for m in messages %}", "a.jinja:1"),
        ("a.yaml", "prompt: x", "answer"),
        ("a.yaml", "prompt: x\nanswer: '{b}'", "prompt"),
        ("a.yaml", "[", "YAML"),
        ("a.yaml", "", "nothing|None"),
        ("a.yaml", "prompt: '{a}'\nanswer: '{b}'\nchoice: x", "choice"),
    ],
    ids=str,
)
def test_a_template_that_is_none_is_refused_by_name(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said) as refused:
        reader_of(tmp_path / name)
    assert name in str(refused.value)


def test_a_template_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no\.yaml"):
        reader_of(tmp_path / "no.yaml")
