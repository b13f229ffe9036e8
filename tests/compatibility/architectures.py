"""Tiny random models of the architectures that people adapt, in float64, each with the batch that it takes."""

from dataclasses import dataclass, field
from typing import Any

import torch
from tiny_models import MARKED

VOCABULARY = 40
LENGTHS = (7, 5, 4, 6)
SMALL = {**MARKED, "vocab_size": VOCABULARY}
DECODER = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
GPT2 = {
    **{"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "n_inner": 24},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3},
}
T5 = {
    **{"vocab_size": VOCABULARY, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2},
    **{"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0},
}
BART = {
    **{"vocab_size": VOCABULARY, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2},
    **{"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24},
    **{"max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "init_std": 0.3},
    **{"decoder_start_token_id": 2, "forced_eos_token_id": None},
}
XLNET = {
    **{"vocab_size": VOCABULARY, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3},
}
SOUND = {
    **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24},
    **{"conv_dim": [8, 8], "conv_kernel": [10, 3], "conv_stride": [5, 2], "num_feat_extract_layers": 2},
    **{"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8},
    **{"num_buckets": 8, "max_bucket_distance": 16, "initializer_range": 0.3},
}
PICTURE = {
    **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24},
    **{"image_size": 16, "patch_size": 8, "num_channels": 3, "initializer_range": 0.3},
}


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Attributes:
        name: as people call it.
        auto: transformers' class of such models.
        kind: of the configuration.
        sizes: of the configuration.
        targets: of LoRA; None where dense weights are taken.
        task: ``classify``, ``tag``, ``causal``, ``masked``, ``translate``, ``answer``, ``picture``, ``sound``, ``regress``.
        options: of the loading.
    """

    name: str
    auto: str
    kind: str
    sizes: dict[str, Any]
    targets: tuple[str, ...] | str | None
    task: str
    options: dict[str, Any] = field(default_factory=dict)

    def model(self) -> Any:
        """The model in float64, with an adapter that is not at its start."""
        import transformers
        from peft import LoraConfig, get_peft_model

        options = {"num_labels": 3} if self.task in ("classify", "tag", "picture", "sound") else {}
        config = transformers.AutoConfig.for_model(self.kind, **{**self.sizes, **options, **self.options})
        config._experts_implementation = "eager"  # the default multiplies in float32 at the best
        torch.manual_seed(0)
        model = getattr(transformers, self.auto).from_config(config).double()
        if self.targets is not None:
            targets = self.targets if isinstance(self.targets, str) else list(self.targets)
            heads = [
                name for name in ("classifier", "score", "classification_head", "logits_proj") if hasattr(model, name)
            ]
            lora = LoraConfig(r=2, lora_alpha=4, target_modules=targets, modules_to_save=heads or None)
            model = get_peft_model(model, lora)
        return _off_zero(model)

    def batch(self) -> dict[str, torch.Tensor]:
        """Four samples of different lengths, padded at the right."""
        generator = torch.Generator().manual_seed(5)
        if self.task == "sound":
            waves = torch.randn(4, 400, generator=generator, dtype=torch.float64)
            return {"input_values": waves, "labels": torch.tensor([0, 1, 2, 1])}
        if self.task == "picture":
            pixels = torch.randn(4, 3, 16, 16, generator=generator, dtype=torch.float64)
            return {"pixel_values": pixels, "labels": torch.tensor([0, 1, 2, 1])}
        width = max(LENGTHS)
        ids, mask = torch.zeros(4, width, dtype=torch.long), torch.zeros(4, width, dtype=torch.long)
        for row, length in enumerate(LENGTHS):
            ids[row, :length] = torch.randint(3, VOCABULARY, (length,), generator=generator)
            mask[row, :length] = 1
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.task == "classify":
            ids[torch.arange(4), mask.sum(1) - 1] = 2  # the end that T5 and BART read a class from
            return {**batch, "labels": torch.tensor([0, 1, 2, 1])}
        if self.task == "regress":
            return {**batch, "labels": torch.tensor([0.5, -1.0, 2.0, 0.0])}
        if self.task == "answer":
            return {**batch, "start_positions": torch.tensor([1, 0, 1, 2]), "end_positions": torch.tensor([3, 2, 1, 4])}
        if self.task == "translate":
            labels = torch.randint(3, VOCABULARY, (4, 5), generator=generator)
            labels[1, 3:] = labels[2, 2:] = -100
            return {**batch, "labels": labels}
        labels = torch.randint(0, 3, (4, width), generator=generator) if self.task == "tag" else ids
        return {**batch, "labels": torch.where(mask.bool(), labels, -100)}

    def samples(self) -> list[dict[str, torch.Tensor]]:
        """The batch's samples, each alone and without padding."""
        batch, found = self.batch(), []
        for row in range(4):
            sample = {key: value[row : row + 1] for key, value in batch.items()}
            if self.task not in ("picture", "sound"):
                used = sample["attention_mask"][0] != 0
                keys = [
                    "input_ids",
                    "attention_mask",
                    *(["labels"] if self.task in ("tag", "causal", "masked") else []),
                ]
                sample.update({key: sample[key][:, used] for key in keys})
            if self.task == "translate":
                sample["labels"] = sample["labels"][:, sample["labels"][0] != -100]
            found.append(sample)
        return found

    def loss(self, model: Any, sample: dict[str, torch.Tensor]) -> torch.Tensor:
        """The loss of one sample alone, by its definition, in the model's own precision."""
        from torch.nn.functional import cross_entropy, mse_loss

        inputs = {key: value for key, value in sample.items() if "labels" not in key and "positions" not in key}
        if self.task == "translate":
            inputs["labels"] = sample["labels"]
        output = model(**inputs)
        if self.task == "answer":
            start = cross_entropy(output["start_logits"], sample["start_positions"])
            return (start + cross_entropy(output["end_logits"], sample["end_positions"])) / 2
        logits, labels = output["logits"], sample["labels"]
        if self.task == "regress":
            return mse_loss(logits[:, 0], labels.to(logits))
        if self.task == "causal" and not self.name.startswith("XLNet"):
            virtual = (
                logits.shape[1] - labels.shape[1]
            )  # a learnt prompt's tokens, the last of which predicts the first
            return cross_entropy(logits[0, max(0, virtual - 1) : -1], labels[0, 0 if virtual else 1 :])
        return cross_entropy(logits.flatten(0, -2), labels.flatten())


def _off_zero(model: Any) -> Any:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad and "lora_" in name:
                weight += 0.3 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return model


CLASSIFIER, CAUSAL, MASKED = "AutoModelForSequenceClassification", "AutoModelForCausalLM", "AutoModelForMaskedLM"
QUERY_VALUE = ("query", "value")
Q_V = ("q_proj", "v_proj")


def _classifiers() -> list[Architecture]:
    rows = [
        ("BERT", "bert", SMALL, QUERY_VALUE),
        ("RoBERTa", "roberta", {**SMALL, "pad_token_id": 0}, QUERY_VALUE),
        ("XLM-RoBERTa", "xlm-roberta", SMALL, QUERY_VALUE),
        ("CamemBERT", "camembert", SMALL, QUERY_VALUE),
        ("ALBERT", "albert", {**SMALL, "embedding_size": 8}, QUERY_VALUE),
        ("ELECTRA", "electra", {**SMALL, "embedding_size": 8}, QUERY_VALUE),
        (
            "DistilBERT",
            "distilbert",
            {**SMALL, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
            ("q_lin", "v_lin"),
        ),
        ("MPNet", "mpnet", SMALL, ("q", "v")),
        ("ModernBERT", "modernbert", {**SMALL, "cls_token_id": 1, "sep_token_id": 2}, ("Wqkv",)),
        (
            "DeBERTa",
            "deberta",
            {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 16},
            ("in_proj", "pos_proj"),
        ),
        (
            "DeBERTa-v2",
            "deberta-v2",
            {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 16},
            ("query_proj", "value_proj"),
        ),
        (
            "DeBERTa-v3",
            "deberta-v2",
            {
                **SMALL,
                "relative_attention": True,
                "pos_att_type": ["c2p", "p2c"],
                "max_relative_positions": 16,
                "share_att_key": True,
                "position_buckets": 8,
                "norm_rel_ebd": "layer_norm",
            },
            ("query_proj", "key_proj", "value_proj"),
        ),
        ("XLNet", "xlnet", XLNET, ("layer_1", "layer_2")),
        ("Longformer", "longformer", {**SMALL, "attention_window": 4}, QUERY_VALUE),
        ("BigBird", "big_bird", {**SMALL, "attention_type": "original_full"}, QUERY_VALUE),
        ("ConvBERT", "convbert", {**SMALL, "embedding_size": 16, "head_ratio": 1, "conv_kernel_size": 3}, QUERY_VALUE),
        ("FNet", "fnet", SMALL, ("dense",)),
        (
            "Funnel",
            "funnel",
            {"vocab_size": VOCABULARY, "d_model": 16, "block_sizes": [1, 1], "n_head": 2, "d_head": 8, "d_inner": 24},
            ("q_head", "v_head"),
        ),
        (
            "Nystromformer",
            "nystromformer",
            {**SMALL, "num_landmarks": 64, "segment_means_seq_len": 64, "conv_kernel_size": 3},
            QUERY_VALUE,
        ),
        (
            "SqueezeBERT",
            "squeezebert",
            {
                **SMALL,
                "embedding_size": 16,
                "q_groups": 1,
                "k_groups": 1,
                "v_groups": 1,
                "post_attention_groups": 1,
                "intermediate_groups": 1,
                "output_groups": 1,
            },
            None,
        ),
        ("T5 as a classifier", "t5", T5, ("q", "v")),
        ("BART as a classifier", "bart", BART, Q_V),
        ("GPT-2 as a classifier", "gpt2", GPT2, ("c_attn",)),
        (
            "GPT-Neo as a classifier",
            "gpt_neo",
            {
                "vocab_size": VOCABULARY,
                "hidden_size": 16,
                "num_layers": 2,
                "num_heads": 2,
                "attention_types": [[["global", "local"], 1]],
                "max_position_embeddings": 64,
                "pad_token_id": 0,
            },
            Q_V,
        ),
        ("GPT-NeoX as a classifier", "gpt_neox", SMALL, ("query_key_value",)),
        ("Llama as a classifier", "llama", DECODER, Q_V),
        ("Mistral as a classifier", "mistral", DECODER, Q_V),
        ("Qwen2 as a classifier", "qwen2", DECODER, Q_V),
        ("Qwen3 as a classifier", "qwen3", DECODER, Q_V),
        ("Gemma as a classifier", "gemma", DECODER, Q_V),
        ("Phi as a classifier", "phi", DECODER, Q_V),
        (
            "Falcon as a classifier",
            "falcon",
            {**SMALL, "new_decoder_architecture": False, "multi_query": True},
            ("query_key_value",),
        ),
        ("OPT as a classifier", "opt", {**SMALL, "ffn_dim": 24, "word_embed_proj_dim": 16, "init_std": 0.3}, Q_V),
        ("Bloom as a classifier", "bloom", {**SMALL, "n_layer": 2, "n_head": 2}, ("query_key_value",)),
    ]
    return [Architecture(name, CLASSIFIER, kind, sizes, targets, "classify") for name, kind, sizes, targets in rows]


def _causal() -> list[Architecture]:
    moe = {**DECODER, "num_local_experts": 4, "num_experts_per_tok": 2, "num_experts": 4, "moe_intermediate_size": 8}
    rows = [
        ("GPT-2", "gpt2", GPT2, ("c_attn",)),
        ("GPT-2, its own weights", "gpt2", GPT2, None),
        (
            "GPT-Neo",
            "gpt_neo",
            {
                "vocab_size": VOCABULARY,
                "hidden_size": 16,
                "num_layers": 2,
                "num_heads": 2,
                "attention_types": [[["global", "local"], 1]],
                "max_position_embeddings": 64,
            },
            Q_V,
        ),
        ("GPT-J", "gptj", {**GPT2, "rotary_dim": 4}, Q_V),
        ("GPT-NeoX (Pythia)", "gpt_neox", SMALL, ("query_key_value",)),
        ("Llama", "llama", DECODER, Q_V),
        ("Llama with a tied head, all weights", "llama", {**DECODER, "tie_word_embeddings": True}, None),
        ("SmolLM3", "smollm3", DECODER, Q_V),
        ("Mistral", "mistral", DECODER, Q_V),
        ("Mixtral, attention", "mixtral", moe, Q_V),
        ("Mixtral, all weights", "mixtral", moe, None),
        ("Qwen2", "qwen2", DECODER, Q_V),
        ("Qwen3", "qwen3", DECODER, Q_V),
        ("Qwen3 with experts, all weights", "qwen3_moe", moe, None),
        ("OLMoE, all weights", "olmoe", moe, None),
        ("OLMo2", "olmo2", DECODER, Q_V),
        ("Gemma", "gemma", DECODER, Q_V),
        ("Gemma2", "gemma2", DECODER, Q_V),
        ("Gemma3", "gemma3_text", DECODER, Q_V),
        ("Phi", "phi", DECODER, Q_V),
        ("Phi-3", "phi3", DECODER, ("qkv_proj",)),
        ("Falcon", "falcon", {**SMALL, "new_decoder_architecture": False, "multi_query": True}, ("query_key_value",)),
        ("Bloom", "bloom", {**SMALL, "n_layer": 2, "n_head": 2}, ("query_key_value",)),
        (
            "MPT",
            "mpt",
            {
                "vocab_size": VOCABULARY,
                "d_model": 16,
                "n_heads": 2,
                "n_layers": 2,
                "expansion_ratio": 2,
                "max_seq_len": 64,
            },
            ("Wqkv",),
        ),
        ("OPT, all weights", "opt", {**SMALL, "ffn_dim": 24, "word_embed_proj_dim": 16, "init_std": 0.3}, None),
        ("StableLM", "stablelm", DECODER, Q_V),
        ("Cohere", "cohere", DECODER, Q_V),
        ("Granite", "granite", DECODER, Q_V),
        ("StarCoder2", "starcoder2", DECODER, Q_V),
        ("Mamba", "mamba", {**SMALL, "state_size": 4, "time_step_rank": 2}, ("in_proj", "x_proj", "dt_proj")),
        ("Mamba, all weights", "mamba", {**SMALL, "state_size": 4, "time_step_rank": 2}, None),
        (
            "Mamba-2",
            "mamba2",
            {**SMALL, "state_size": 4, "num_heads": 4, "head_dim": 8, "n_groups": 1, "chunk_size": 4},
            ("in_proj",),
        ),
        (
            "Zamba, shared blocks",
            "zamba",
            {
                **DECODER,
                "attention_head_dim": 16,
                "mamba_d_state": 4,
                "mamba_d_conv": 2,
                "mamba_dt_rank": 2,
                "n_mamba_heads": 2,
                "num_hidden_layers": 6,
                "use_mamba_kernels": False,
                "layers_block_type": ["mamba", "mamba", "hybrid", "mamba", "hybrid", "mamba"],
            },
            None,
        ),
        ("XLNet as a language model", "xlnet", XLNET, ("layer_1", "layer_2")),
        ("BERT as a causal model", "bert", {**SMALL, "is_decoder": True}, QUERY_VALUE),
        ("RoBERTa as a causal model", "roberta", {**SMALL, "is_decoder": True}, QUERY_VALUE),
    ]
    return [Architecture(name, CAUSAL, kind, sizes, targets, "causal") for name, kind, sizes, targets in rows]


def _others() -> list[Architecture]:
    tagger, translator, reader = (
        "AutoModelForTokenClassification",
        "AutoModelForSeq2SeqLM",
        "AutoModelForQuestionAnswering",
    )
    seer, hearer = "AutoModelForImageClassification", "AutoModelForAudioClassification"
    return [
        Architecture("Wav2Vec2", hearer, "wav2vec2", SOUND, Q_V, "sound"),
        Architecture("HuBERT", hearer, "hubert", SOUND, Q_V, "sound"),
        Architecture("WavLM", hearer, "wavlm", SOUND, ("out_proj", "intermediate_dense"), "sound"),
        Architecture("WavLM, all weights", hearer, "wavlm", SOUND, None, "sound"),
        Architecture("BERT, masked", MASKED, "bert", SMALL, QUERY_VALUE, "masked"),
        Architecture("RoBERTa, masked", MASKED, "roberta", SMALL, QUERY_VALUE, "masked"),
        Architecture(
            "ModernBERT, masked",
            MASKED,
            "modernbert",
            {**SMALL, "cls_token_id": 1, "sep_token_id": 2},
            ("Wqkv",),
            "masked",
        ),
        Architecture("BERT, all weights masked", MASKED, "bert", SMALL, None, "masked"),
        Architecture("BERT as a tagger", tagger, "bert", SMALL, QUERY_VALUE, "tag"),
        Architecture(
            "DeBERTa-v2 as a tagger",
            tagger,
            "deberta-v2",
            {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
            ("query_proj", "value_proj"),
            "tag",
        ),
        Architecture("Llama as a tagger", tagger, "llama", DECODER, Q_V, "tag"),
        Architecture("BERT as a reader", reader, "bert", SMALL, QUERY_VALUE, "answer"),
        Architecture("BERT for a number", CLASSIFIER, "bert", SMALL, QUERY_VALUE, "regress", {"num_labels": 1}),
        Architecture("T5", translator, "t5", T5, ("q", "v"), "translate"),
        Architecture("T5, all weights", translator, "t5", T5, None, "translate"),
        Architecture("BART", translator, "bart", BART, Q_V, "translate"),
        Architecture("Pegasus", translator, "pegasus", BART, Q_V, "translate"),
        Architecture("mBART", translator, "mbart", BART, Q_V, "translate"),
        Architecture("ViT", seer, "vit", PICTURE, Q_V, "picture"),
        Architecture("ViT, all weights", seer, "vit", PICTURE, None, "picture"),
        Architecture(
            "DeiT", seer, "deit", {**PICTURE, "architectures": ["DeiTForImageClassification"]}, Q_V, "picture"
        ),
        Architecture("BEiT", seer, "beit", PICTURE, Q_V, "picture"),
        Architecture("DINOv2", seer, "dinov2", {**PICTURE, "mlp_ratio": 2}, Q_V, "picture"),
        Architecture(
            "Swin",
            seer,
            "swin",
            {
                "image_size": 16,
                "num_channels": 3,
                "initializer_range": 0.3,
                "patch_size": 2,
                "embed_dim": 8,
                "depths": [1, 1],
                "num_heads": [2, 2],
                "window_size": 2,
            },
            Q_V,
            "picture",
        ),
        Architecture(
            "ConvNeXT, all weights",
            seer,
            "convnext",
            {
                "num_channels": 3,
                "patch_size": 4,
                "hidden_sizes": [8, 16],
                "depths": [1, 1],
                "num_stages": 2,
                "initializer_range": 0.3,
            },
            None,
            "picture",
        ),
        Architecture(
            "ResNet, all weights",
            seer,
            "resnet",
            {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
            None,
            "picture",
        ),
    ]


ARCHITECTURES = [*_classifiers(), *_causal(), *_others()]
