"""What of an experiment would fail in its job, seen from the models and data that are there already."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hyperinf.data.origin import Origin
from hyperinf.data.reading import look_at
from hyperinf.errors import InputError
from hyperinf.settings.experiment import DataEntry, ExperimentSettings, needed_entries
from hyperinf.settings.models import ModelSettings
from hyperinf.settings.study import StudySettings
from hyperinf.settings.training import Adaptation


def objections(experiment: ExperimentSettings) -> Iterator[str]:
    """Write a line for each study, model and data set of the run that its job would refuse.

    Looked at are the first row of each file of one's own and the configuration of each model in a folder: neither
    weights nor what the hub or a package index has.
    """
    for section, key in sorted(needed_entries(experiment)):
        if section == "data":
            entry = experiment.data[key]
            yield from _refused(f"data.{key}", partial(_look_at_data, entry))
    for name, study in experiment.running.items():
        for index, key in enumerate(study.models):
            model = experiment.models[key]
            if model.source.kind == "path" and Path(model.source.name).is_dir():
                for what in study.adapter.trained:
                    place = f"studies.{name}.models[{index}], trained {what}"
                    yield from _refused(place, partial(_look_at_model, study, model, what))


def _refused(place: str, look: Callable[[], None]) -> Iterator[str]:
    try:
        look()
    except InputError as error:
        yield f"{place}: {error}"


def _look_at_data(entry: DataEntry) -> None:
    look_at(Origin(entry), entry.splits)


def _look_at_model(study: StudySettings, model: ModelSettings, what: Any) -> None:
    """Make the model without its weights, and what is trained of it."""
    import torch

    from hyperinf.models.causal import causal_config
    from hyperinf.models.classifier import classifier_config
    from hyperinf.models.llava import llava_config
    from hyperinf.models.lora import add_lora
    from hyperinf.models.trainable import adapt

    folder = model.source.name
    adaptation = Adaptation(trained=what, rank=1, target_modules=model.target_modules)
    with torch.device("meta"):
        if study.family == "classifier":
            add_lora(_empty("AutoModelForSequenceClassification", _of_classes(classifier_config, folder)), adaptation)
        elif study.family == "causal":
            adapt(_empty("AutoModelForCausalLM", causal_config(folder)), adaptation, seed=0)
        else:
            adapt(_empty("AutoModelForImageTextToText", llava_config(folder)), adaptation, seed=0)


def _of_classes(read: Callable[[str, int], Any], folder: str) -> Any:
    """The configuration, whatever the number of classes is: that is the data's."""
    from transformers import AutoConfig

    with suppress(OSError, ValueError):
        return read(folder, AutoConfig.from_pretrained(folder, trust_remote_code=False).num_labels)
    return read(folder, 2)


def _empty(kind: str, config: Any) -> Any:
    import transformers

    return getattr(transformers, kind).from_config(config)
