"""Small random networks in the formats of those that find subjects, saved as folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    Sam2Config,
    Sam2Model,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam3Config,
    Sam3Model,
)

SAM2_PARTS: dict[str, Any] = {
    "vision_config": {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "blocks_per_stage": [1, 1, 1, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 1, 1],
            "window_size_per_stage": [8, 4, 4, 2],
            "global_attention_blocks": [],
            "image_size": [64, 64],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    },
    "prompt_encoder_config": {"hidden_size": 32, "image_size": 64, "patch_size": 16},
    "mask_decoder_config": {
        "hidden_size": 32,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
        "dynamic_multimask_via_stability": False,
    },
}


def lively(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """With weights at random, large enough that the answer depends on what is asked."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point() and tensor.dim() > 1:
                scale = 1.5 / tensor[0].numel() ** 0.5
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)
    return network


def save_sam2(folder: Path, *, video: bool = False, seed: int = 0) -> Path:
    """A SAM 2 network; as a video network, which is what the Hub has."""
    if video:
        memory = {
            "memory_attention_hidden_size": 32,
            "memory_attention_feed_forward_hidden_size": 32,
            "memory_attention_num_layers": 1,
            "memory_attention_rope_feat_sizes": [4, 4],
            "memory_encoder_hidden_size": 32,
            "memory_encoder_output_channels": 8,
            "mask_downsampler_embed_dim": 32,
            "memory_fuser_embed_dim": 32,
            "memory_fuser_intermediate_dim": 32,
            "image_size": 64,
        }
        network: Any = Sam2VideoModel(Sam2VideoConfig(**SAM2_PARTS, **memory))
    else:
        network = Sam2Model(Sam2Config(**SAM2_PARTS))
    lively(network, seed).save_pretrained(folder)
    return folder


def save_dino(folder: Path, *, bias: float | None = None, seed: int = 0) -> Path:
    """A Grounding DINO network.

    bias: its scores are sigmoid(bias) for every word; None for scores that depend on the word.
    """
    config = GroundingDinoConfig(
        backbone_config={
            "model_type": "swin",
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 1, 1],
            "window_size": 7,
            "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert",
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "vocab_size": 100,
        },
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=10,
        max_text_len=32,
    )
    network = GroundingDinoForObjectDetection(config)
    lively(network, seed)
    seen = network.model.decoder.layer_norm
    read = network.model.encoder.layers[-1].text_enhancer_layer.layer_norm_after
    with torch.no_grad():  # a score is the product of the two
        for norm in (seen, read):
            norm.weight.zero_()
            norm.bias.zero_()
        seen.bias[0] = 1
        read.bias[0] = 0 if bias is None else bias
        read.weight[0] = 4 if bias is None else 0
    network.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_sam3(folder: Path, *, presence: float, seed: int = 0) -> Path:
    """A SAM 3 network for which everything is there with the probability sigmoid(presence)."""
    small = {"hidden_size": 32, "num_attention_heads": 2}
    part = {**small, "intermediate_size": 32, "num_layers": 1}
    config = Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model",
                **small,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "image_size": 56,
                "pretrain_image_size": 56,
                "window_size": 2,
                "global_attn_indexes": [1],
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={
            "model_type": "clip_text_model",
            **small,
            "vocab_size": 100,
            "intermediate_size": 32,
            "projection_dim": 16,
            "num_hidden_layers": 1,
            "max_position_embeddings": 32,
            "bos_token_id": 2,
            "eos_token_id": 3,
        },
        geometry_encoder_config=part,
        detr_encoder_config=part,
        detr_decoder_config={**part, "num_queries": 5},
        mask_decoder_config=small,
    )
    network = Sam3Model(config)
    lively(network, seed)
    last = network.detr_decoder.presence_head.layer3
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(presence)
    network.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_tokenizer(folder: Path) -> None:
    """Word pieces of single letters and a few words, as BERT's."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "dog", "cat", "the", "red", "chair"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = [*words, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
