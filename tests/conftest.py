"""Tiny stand-ins in the layout that the hub has: a folder with config, weights and tokenizer."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

WORDS = [f"w{index}" for index in range(60)]


# In this order where tests run in several processes: what waits for processes of its own comes first, and the many
# short files after it keep the cores busy to the end.
LONGEST = ("workflow/slurm", "workflow", "bad_input", "compatibility")


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        here = Path(__file__).parent

        def place(item):
            folder = f"{item.path.relative_to(here).parent.as_posix()}/"
            return next((n for n, name in enumerate(LONGEST) if folder.startswith(f"{name}/")), len(LONGEST))

        items.sort(key=place)


@pytest.fixture(autouse=True)
def own_threads():
    """Threads that a test's command asked for do not stay for the tests after it."""
    import scipy.linalg  # noqa: F401  (its BLAS, too)
    import torch
    from threadpoolctl import threadpool_limits

    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
    before, threads = {name: os.environ.get(name) for name in names}, torch.get_num_threads()
    with threadpool_limits():
        yield
    torch.set_num_threads(threads)
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def common_allocator():
    """A test that tells the allocator to map large tensors makes all after it in its process several times as slow."""
    yield
    memory = sys.modules.get("hyperinf.runtime.memory")
    if memory is not None and memory._mapped:
        memory._mapped = False
        pytest.fail("large tensors are mapped from here on, expected the fixture own_allocator")


@pytest.fixture
def own_allocator(monkeypatch):
    """Memory is short in the test alone: nobody tells the allocator of all tests to map large tensors one by one."""
    from hyperinf.runtime import memory

    monkeypatch.setattr(memory, "_mapped", True)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """A BERT of two layers, with a word tokenizer, as a local model folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        initializer_range=0.1,  # at the usual 0.02 a random encoder hardly tells two words apart
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def word_task(tmp_path_factory):
    """Sentences whose class is told by which two words they are made of; 20 % of the training labels flipped."""
    import numpy as np
    import pandas as pd

    from hyperinf.pipeline.prepare import prepare
    from hyperinf.settings.stages import Prepare

    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 140)
    texts = [" ".join(WORDS[i] for i in rng.integers(0, 2, rng.integers(3, 12)) + 2 * label) for label in labels]
    names = np.array(["low", "high"])[labels]
    pd.DataFrame({"sentence": texts, "label": names}).to_csv(folder / "words.csv", index=False)
    sizes = {"train": 60, "validation": 20, "test": 40, "label_noise": 0.2, "seed": 1}
    columns = {"text": "sentence", "label": "label"}
    prepare(Prepare(source=f"path:{folder / 'words.csv'}", **columns, **sizes, out=str(folder / "prepared")))
    return folder / "prepared"


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    """A Llama of two layers with random weights, and a tokenizer of bytes, as a local model folder."""
    return new_model(tmp_path_factory, "llama_tiny")


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory):
    """A LLaVA with random weights, and a tokenizer of a few words, as a local model folder."""
    return new_model(tmp_path_factory, "llava_tiny")


def new_model(tmp_path_factory, shape):
    from hyperinf.pipeline.prepare_model import prepare_model
    from hyperinf.settings.stages import PrepareModel

    folder = tmp_path_factory.mktemp("models") / shape
    prepare_model(PrepareModel(source=f"shape:{shape}", out=str(folder)))
    return folder


@pytest.fixture(scope="session")
def browser():
    """A browser to look at pages with."""
    import looked_at
    from chromium import Chromium

    looked_at.needed()
    with Chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def faults_of(browser):
    """What is wrong with a page for those who read it."""
    import looked_at

    return lambda page: looked_at.faults(page, browser)
