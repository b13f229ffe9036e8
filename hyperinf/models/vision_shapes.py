"""Vision-language models made new from a shape, with random weights: for the default run, smoke runs and tests."""

from dataclasses import dataclass
from typing import Any

IMAGE = "<image>"
END = "<|end|>"
PICTURE_SIZE = 64

# The tokens of easy-VQA's questions and answers and of the templates around them. What is not here is spelled in bytes.
WORDS = (
    "a",
    "the",
    "no",
    "not",
    "of",
    "in",
    "is",
    "does",
    "there",
    "what",
    "color",
    "shape",
    "image",
    "contain",
    "present",
    "circle",
    "rectangle",
    "triangle",
    "black",
    "blue",
    "brown",
    "gray",
    "green",
    "red",
    "teal",
    "yellow",
    "yes",
    "Question",
    "Answer",
    "Context",
)
MARKS = (".", ",", ":", "?", "\n")


@dataclass(frozen=True)
class VisionShape:
    """Sizes of a LLaVA: a vision transformer, a projector of two layers, a Llama.

    Attributes:
        width: of both transformers.
        layers: of each.
        heads: of each; the Llama's keys and values have half as many.
        patch: side of a patch in pixels; a picture of 64 x 64 becomes ``(64 / patch)**2`` tokens.
    """

    width: int
    layers: int
    heads: int
    patch: int


VISION_SHAPES = {
    "llava_small": VisionShape(width=96, layers=3, heads=4, patch=8),
    "llava_tiny": VisionShape(width=64, layers=2, heads=4, patch=16),
}


def new_llava(name: str, seed: int) -> tuple[Any, Any]:
    """A LLaVA of a known shape with random weights, and its processor of pictures and words.

    The projector reads the vision tower's last layer, not the last but one as in the published model: that one was
    chosen for a tower trained on text and images, this one's patches are themselves trained to tell what is seen.

    Args:
        name: one of ``VISION_SHAPES``.
        seed: of the weights.
    """
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    shape = VISION_SHAPES[name]
    processor = _processor(shape)
    tokenizer = processor.tokenizer
    vision = CLIPVisionConfig(
        hidden_size=shape.width,
        intermediate_size=2 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        image_size=PICTURE_SIZE,
        patch_size=shape.patch,
        projection_dim=shape.width,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=2 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads // 2,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=processor.image_token_id,
        image_seq_length=(PICTURE_SIZE // shape.patch) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    torch.manual_seed(seed)
    return LlavaForConditionalGeneration(config), processor


def word_tokenizer() -> Any:
    """A tokenizer of known words, with and without the space before them, and of bytes for all other text.

    It needs no training and no download, and a question of easy-VQA has 10 to 15 tokens instead of 60 bytes.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    texts = [*(f" {word}" for word in WORDS), *WORDS, *MARKS]
    words = [level.pre_tokenize_str(text)[0][0] for text in texts]  # as the bytes' alphabet spells them
    tokens = dict.fromkeys([END, *sorted(pre_tokenizers.ByteLevel.alphabet()), *words])
    vocabulary = {token: index for index, token in enumerate(tokens)}
    # With ignore_merges a piece of text that is in the vocabulary is one token; any other falls apart into its bytes.
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = level
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
    fast.add_special_tokens({"additional_special_tokens": [AddedToken(IMAGE, normalized=False, special=True)]})
    return fast


def _processor(shape: VisionShape) -> Any:
    from transformers import CLIPImageProcessorPil, LlavaProcessor

    side = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    images = CLIPImageProcessorPil(
        size={"shortest_edge": PICTURE_SIZE}, crop_size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=word_tokenizer(),
        patch_size=shape.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token, which "default" then drops
        image_token=IMAGE,
    )
