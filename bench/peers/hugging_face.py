"""The MAE of Hugging Face's transformers, with our sizes."""


def model_of(sizes, details):
    try:
        import transformers
    except ImportError as error:
        raise ImportError(f"{error}: pip install transformers") from error
    if sizes.image_height != sizes.image_width:
        raise ValueError(f"ViTMAE has square images, not {sizes.image_height} x {sizes.image_width}")
    details["transformers"] = transformers.__version__
    config = transformers.ViTMAEConfig(
        image_size=sizes.image_height,
        num_channels=sizes.channels,
        patch_size=sizes.patch,
        hidden_size=sizes.dim,
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.heads,
        intermediate_size=int(sizes.dim * sizes.mlp_ratio),
        decoder_hidden_size=sizes.decoder_dim,
        decoder_num_hidden_layers=sizes.decoder_depth,
        decoder_num_attention_heads=sizes.decoder_heads,
        decoder_intermediate_size=int(sizes.decoder_dim * sizes.mlp_ratio),
        mask_ratio=sizes.mask_ratio,
        norm_pix_loss=bool(sizes.norm_pix),
        layer_norm_eps=sizes.ln_eps,
        qkv_bias=bool(sizes.qkv_bias),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
    )
    return transformers.ViTMAEForPreTraining(config)
