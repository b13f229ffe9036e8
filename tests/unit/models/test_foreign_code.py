"""A model folder may bring code (``auto_map``) and pickles; neither is run."""

import json
import shutil

import pytest

from hyperinf.errors import InputError
from hyperinf.models.causal import load_causal
from hyperinf.models.classifier import load_classifier
from hyperinf.models.loading import load_tokenizer

CODE = "import pathlib\npathlib.Path({ran!r}).touch()\nclass Own: pass\n"


@pytest.fixture
def ran(tmp_path):
    """The file that foreign code would make."""
    return tmp_path / "ran"


def with_code(folder, tmp_path, ran, model_type=None):
    """A copy of a model whose configuration and tokenizer name classes of a module beside them."""
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    (own / "modeling_own.py").write_text(CODE.format(ran=str(ran)))
    names = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForSequenceClassification")
    config = json.loads((own / "config.json").read_text())
    config["auto_map"] = dict.fromkeys(names, "modeling_own.Own")
    config["model_type"] = model_type or config["model_type"]
    (own / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((own / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["modeling_own.Own", "modeling_own.Own"]}
    (own / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return str(own)


def test_code_beside_a_known_model_is_not_run(tiny_bert, tmp_path, ran):
    folder = with_code(tiny_bert, tmp_path, ran)
    load_tokenizer(folder)
    load_classifier(folder, 2, seed=0)
    assert not ran.exists()


def test_code_beside_a_known_language_model_is_not_run(tiny_llama, tmp_path, ran):
    load_causal(with_code(tiny_llama, tmp_path, ran))
    assert not ran.exists()


@pytest.mark.parametrize("load", [load_tokenizer, load_causal, lambda folder: load_classifier(folder, 2, seed=0)])
def test_a_model_that_is_nothing_without_its_code_is_refused(tiny_llama, tmp_path, ran, load):
    folder = with_code(tiny_llama, tmp_path, ran, model_type="own")
    if load is load_tokenizer:  # of which the tokenizer alone is a plain one
        load(folder)
    else:
        with pytest.raises(InputError, match="cannot be loaded"):
            load(folder)
    assert not ran.exists()
