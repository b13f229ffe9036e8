"""Rows of text and of model inputs, given to the front door, against each row encoded by hand and alone."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import write_tiny

from hyperinf import Attributor

LENGTHS = (5, 2, 9, 4, 4, 7, 3, 6, 2, 8)
WORDS = [[f"w{(3 * row + 5 * place) % 60}" for place in range(length)] for row, length in enumerate(LENGTHS)]
TEXTS = [" ".join(words) for words in WORDS]


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def classifier(request, tmp_path_factory):
    from transformers import AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp("models") / request.param
    names = {"id2label": {0: "bad", 1: "good", 2: "odd"}, "label2id": {"bad": 0, "good": 1, "odd": 2}}
    return str(write_tiny(folder, request.param, AutoModelForSequenceClassification, **names))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    from transformers import AutoModelForCausalLM

    return str(write_tiny(tmp_path_factory.mktemp("models") / "llama", "llama", AutoModelForCausalLM))


def attributor(folder, **kw):
    a = Attributor.from_pretrained(folder, method="datainf", **kw)
    # In float64, so that padding makes no difference at all.
    a.model.double()
    return a


def tokens(folder, *texts):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)(*texts)["input_ids"]


def alone(folder, samples, **kw):
    """Scores where every sample is its own batch: nothing is padded."""
    given = [
        ([str(place)], {name: torch.tensor([value]) for name, value in sample.items()})
        for place, sample in enumerate(samples)
    ]
    a = attributor(folder, **kw)
    return a.fit(given).score(given)


def assert_same(actual, expected):
    assert list(actual.index) == list(expected.index)
    np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-9)


def test_a_classifier_s_texts_are_tokenised_and_padded(classifier):
    names = ["bad", "good", "odd"]
    rows = [{"text": text, "label": names[place % 3], "note": 1} for place, text in enumerate(TEXTS)]
    expected = alone(
        classifier, [{"input_ids": tokens(classifier, text), "labels": i % 3} for i, text in enumerate(TEXTS)]
    )
    a = attributor(classifier, batch_size=4)
    assert_same(a.fit(rows).score(rows), expected)
    each = a.score_each(rows)
    assert list(each) == list(each.index) == [str(place) for place in range(10)]
    np.testing.assert_allclose(each.mean(axis=1), expected["influence"], rtol=1e-7, atol=1e-9)
    parts = a.score_each(rows, by_layer=True)
    assert list(dict.fromkeys(parts.columns.get_level_values("query"))) == list(each)
    np.testing.assert_allclose(parts["7"].sum(axis=1), each["7"], rtol=1e-9, atol=1e-12)


def test_pairs_of_texts_and_columns_of_other_names_and_ids_are_taken(classifier):
    rows = [
        {"key": f"k{place}", "first": text, "second": TEXTS[-place], "class": place % 3}
        for place, text in enumerate(TEXTS)
    ]
    expected = alone(
        classifier,
        [
            {"input_ids": tokens(classifier, row["first"], row["second"]), "labels": row["class"]}
            for row in rows
        ],
    )  # fmt: skip
    columns = {"text": "first", "pair": "second", "label": "class", "id": "key"}
    scores = attributor(classifier, columns=columns).fit(rows).score(rows)
    assert list(scores.index) == [row["key"] for row in rows]
    assert_same(scores.set_axis(expected.index), expected)


def test_prompts_are_judged_by_their_answers_and_texts_by_every_token(decoder):
    rows = [{"prompt": text, "answer": " w1 w2"[: 3 + 3 * (place % 2)]} for place, text in enumerate(TEXTS)]
    samples = []
    for row in rows:
        prompt, both = tokens(decoder, row["prompt"]), tokens(decoder, row["prompt"] + row["answer"])
        samples.append({"input_ids": both, "labels": [-100] * len(prompt) + both[len(prompt) :]})
    a = attributor(decoder, batch_size=3)
    assert_same(a.fit(rows).score(rows), alone(decoder, samples))
    texts = [{"text": text} for text in TEXTS]
    whole = [{"input_ids": tokens(decoder, text), "labels": tokens(decoder, text)} for text in TEXTS]
    assert_same(a.fit(texts).score(texts), alone(decoder, whole))


def test_texts_that_are_too_long_are_cut_and_said(decoder, caplog):
    rows = [{"text": text} for text in TEXTS]
    cut = [{"input_ids": tokens(decoder, text)[:5], "labels": tokens(decoder, text)[:5]} for text in TEXTS]
    scores = attributor(decoder, max_length=5).fit(rows).score(rows)
    assert_same(scores, alone(decoder, cut))
    assert "4 of 10 samples are longer than 5 tokens" in caplog.text


@pytest.mark.parametrize("form", [None, "torch", "numpy", "frame", "list"])
def test_model_inputs_of_different_lengths_are_padded_whatever_holds_them(decoder, form):
    from datasets import Dataset

    ids = [tokens(decoder, text) for text in TEXTS]
    rows = [{"input_ids": each, "labels": each, "text": "w"} for each in ids]
    given = {"frame": pd.DataFrame(rows), "list": rows}.get(form) if form in ("frame", "list") else None
    if given is None:
        given = Dataset.from_list(rows).with_format(form)
    expected = alone(decoder, [{"input_ids": each, "labels": each} for each in ids])
    assert_same(attributor(decoder).fit(given).score(given), expected)


def test_tokenised_rows_of_a_classifier_may_call_their_class_label(classifier):
    texts = [{"text": text, "label": place % 3} for place, text in enumerate(TEXTS)]
    rows = [{**row, "idx": 1, "input_ids": tokens(classifier, row["text"])} for row in texts]
    rows = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in rows]
    a = attributor(classifier)
    assert_same(a.fit(rows).score(rows), a.fit(texts).score(texts))


def test_rows_of_a_model_of_one_s_own_need_no_tokenizer():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    x, y = torch.randn(10, 4), torch.randint(0, 3, (10,))
    rows = [{"input": values, "label": label} for values, label in zip(x.tolist(), y.tolist())]
    expected = Attributor(model, "tracin").fit([(x, y)]).score([(x, y)])
    np.testing.assert_allclose(Attributor(model, "tracin").fit(rows).score(rows), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_file_of_rows_gives_the_scores_of_the_rows(classifier, suffix, tmp_path):
    rows = [{"sample_id": f"s{i}", "text": text, "label": i % 3, "other": "x"} for i, text in enumerate(TEXTS)]
    path = tmp_path / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        pd.DataFrame(rows).to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    a = attributor(classifier)
    expected = a.fit(rows).score(rows)
    assert_same(a.fit(path).score(str(path)), expected)
    assert expected.index[0] == "s0"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "w1"}], "expected a column 'label'"),
        ([{"text": "w1", "label": "purple"}], "sample '0': got the label 'purple', expected .*2"),
        ([{"text": "w1", "label": 3}], "got the label 3"),
        ([{"text": None, "label": 1}, {"text": "w1", "label": 1}], "sample '0': got None as text"),
        ([{"note": "w"}], "got rows of note, expected text and labels"),
        ([{"input_ids": [1, 2], "labels": 0}, {"input_ids": [1]}], "sample '1': got input_ids, expected"),
        (
            [
                {"input_ids": [1], "position_ids": [0], "labels": 0},
                {"input_ids": [2], "position_ids": [0, 1], "labels": 1},
            ],
            "column 'position_ids'",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_one_line(classifier, rows, message):
    with pytest.raises(ValueError, match=rf"(?s)^(train: )?.*{message}") as caught:
        attributor(classifier).fit(rows)
    assert "\n" not in str(caught.value)


def test_what_a_row_of_text_needs_is_said(classifier, decoder):
    rows = [{"text": "w1", "label": 0}]
    with pytest.raises(ValueError, match=r"^train: got rows of text, expected a tokenizer"):
        attributor(classifier, tokenizer=None).fit(rows)
    with pytest.raises(ValueError, match=r"^train: columns: got text='words', expected one of text, label"):
        attributor(classifier, columns={"text": "words"}).fit(rows)
    with pytest.raises(ValueError, match=r"^train: got rows of prompt, expected a column 'answer'"):
        attributor(decoder).fit([{"prompt": "w1"}])
    with pytest.raises(ValueError, match=r"no such file"):
        attributor(classifier).fit("nowhere.csv")
