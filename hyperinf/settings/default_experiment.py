"""The experiment of ``config.yaml``: real texts, pictures and weights, on a CPU."""

from typing import Any

from hyperinf.settings.experiment import ExperimentSettings, checked_experiment

_GLUE = {
    "cola": {"text": "sentence"},
    "sst2": {"text": "sentence"},
    "mrpc": {"text": "sentence1", "pair": "sentence2"},
    "qqp": {"text": "question1", "pair": "question2"},
    "qnli": {"text": "question", "pair": "sentence"},
    "rte": {"text": "sentence1", "pair": "sentence2"},
    "wnli": {"text": "sentence1", "pair": "sentence2"},
}

_MODELS: dict[str, Any] = {
    "minilm": {"source": {"asset": "minilm"}, "target_modules": ["query", "value"]},
    "roberta_large": {"source": {"hub": "FacebookAI/roberta-large"}, "target_modules": ["query", "value"]},
    "smollm2_8": {
        "source": {"asset": "smollm2"},
        "layers": 8,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    },
    "llama_2_7b": {"source": {"hub": "meta-llama/Llama-2-7b-hf"}, "target_modules": ["q_proj", "v_proj"]},
    "llava_small": {
        "source": {"shape": "llava_small"},
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
        "align": {
            "data": "easy_vqa_captions",
            "train": 2500,
            "test": 300,
            "tower_epochs": 16,
            "parts": ["projector", "language_model"],
            "max_steps": 250,
            "learning_rate": 1e-3,
            "batch_size": 64,
        },
    },
}

_DATA: dict[str, Any] = {
    "sarcasm": {"source": {"asset": "sarcasm"}, "text": "text", "label": "label"},
    **{
        name: {"source": {"hub": "nyu-mll/glue"}, "subset": name, "label": "label", **columns}
        for name, columns in _GLUE.items()
    },
    "headlines": {"source": {"asset": "sarcasm"}, "format": "headlines", "template": "headline"},
    "logiqa": {"source": {"asset": "logiqa"}, "format": "logiqa_evals", "template": "multiple_choice"},
    "easy_vqa": {"source": {"asset": "easy_vqa"}, "format": "easy_vqa", "template": "vqa_short"},
    "easy_vqa_captions": {"source": {"asset": "easy_vqa"}, "format": "easy_vqa_captions", "template": "vqa_short"},
    "qasc": {"source": {"hub": "allenai/qasc"}, "format": "qasc", "template": "multiple_choice"},
    "hellaswag": {"source": {"hub": "Rowan/hellaswag"}, "format": "hellaswag", "template": "completion"},
    # The sets themselves are loading scripts, which are not run.
    "piqa": {
        "source": {"hub": "ybisk/piqa"},
        "revision": "refs/convert/parquet",
        "format": "piqa",
        "template": "completion",
    },
    "logiqa_hub": {
        "source": {"hub": "lucasmccabe/logiqa"},
        "revision": "refs/convert/parquet",
        "format": "logiqa",
        "template": "multiple_choice",
    },
}

_METHODS = ["hyperinf", "gfim", "datainf", "lissa", "tracin", "fim"]

_STUDIES: dict[str, Any] = {
    "mislabel": {
        "title": "Mislabel detection",
        "family": "classifier",
        "tasks": ["sarcasm"],
        "models": ["minilm"],
        "samples": {"train": 1000, "validation": 300, "test": 1000},
        "corruption": {"label_noise": 0.2},
        "adapter": {"ranks": [8, 16]},
        "finetuning": {"epochs": 5, "checkpoints": [1, 3, 5], "learning_rate": 5e-4, "max_length": 32},
        "scoring": {"methods": _METHODS},
        "detection": {"report_epoch": 3},
        "runtime": {"gradient_batch_size": 32},
    },
    "llm": {
        "title": "Language model",
        "family": "causal",
        "tasks": ["headlines"],
        "models": ["smollm2_8"],
        "samples": {"train": 1500, "validation": 200, "test": 400},
        "corruption": {"label_noise": 0.4},
        "finetuning": {"max_steps": 40},
        # On seeds 0, 1, 2 the clean 60 % of the pool come to .75, .79, .77 and the pool itself to .56, .59, .50; four
        # layers with adapters on queries and values came to .66 at most.
        "selection": {
            "fractions": [0.2],
            "strategies": ["plain"],
            "at_once": 10,
            "training": {"max_steps": 160, "batch_size": 8, "learning_rate": 2e-3},
        },
    },
    "vlm": {
        "title": "Vision-language model",
        "family": "vision",
        "tasks": ["easy_vqa"],
        "models": ["llava_small"],
        "samples": {"train": 1500, "validation": 200, "test": 400},
        # A random wrong answer would teach nothing wrong.
        "corruption": {"label_noise": 0.5, "noise_mode": "next"},
        "adapter": {"trained": ["lora_projector"]},
        "finetuning": {"max_steps": 100},
        # Here plain selection does not collapse to one answer, as it does in the study of the language model. On seeds
        # 0, 1, 2 the clean half of the pool comes to .97, .82, .96; 200 steps of 16 samples came to .49 on seed 0.
        "selection": {
            # Single shares are decided by many seeds only; evidence.yaml has all four of the paper's.
            "fractions": [0.2, 0.4],
            "strategies": ["plain"],
            "at_once": 5,
            "training": {"max_steps": 400, "batch_size": 8, "learning_rate": 2e-3},
        },
    },
    "vlm_parts": {
        "title": "Vision-language model: projector or last layer",
        "family": "vision",
        "tasks": ["easy_vqa"],
        "models": ["llava_small"],
        "samples": {"train": 500, "validation": 200, "test": 100},
        "corruption": {"label_noise": 0.5, "noise_mode": "next"},
        "adapter": {"trained": ["lora_projector"]},
        "finetuning": {"max_steps": 100},
        "scoring": {"gradients_of": ["projector", "last_layer"], "methods": ["hyperinf", "datainf", "lissa", "tracin"]},
    },
    "validation": {
        "title": "Validation by retraining",
        "family": "classifier",
        "tasks": ["sarcasm"],
        "models": ["minilm"],
        "samples": {"train": 500, "validation": 300, "test": 1000},
        "corruption": {"label_noise": 0.2},
        # One seed, and nothing left out: retraining is what costs. On seeds 0 and 1 these samples taught next to
        # nothing at 5e-4 (test accuracy .60 and .52), and all scores of a model that has hardly moved are alike; at
        # 2e-3 it was .73 and .78.
        "seeds": [11],
        "finetuning": {"epochs": 3, "learning_rate": 2e-3, "max_length": 32},
        "scoring": {"methods": _METHODS},
        "detection": None,
        "validation": {"removal": None},
        "runtime": {"gradient_batch_size": 32},
    },
}


def default_experiment() -> ExperimentSettings:
    """Make the settings of ``config.yaml``."""
    return checked_experiment(
        {
            "run": ["simulation", *_STUDIES],
            "models": _MODELS,
            "data": _DATA,
            "studies": _STUDIES,
        }
    )
