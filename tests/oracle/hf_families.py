"""Tiny random checkpoints of every family by HF transformers, in the variations that change their arithmetic, saved by HF itself and,
where a variation says so, rearranged as files on the hub are. What family_goldens.py and family_parity.py share."""
import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file

LLAMA_LIKE = dict(vocab_size=24, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
                  max_position_embeddings=32)
WITH_KV = {**LLAMA_LIKE, "num_key_value_heads": 4}
GPT2_LIKE = dict(vocab_size=24, n_embd=16, n_layer=2, n_head=4, n_positions=32)
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8, "rope_theta": 100.0}
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 5.0], "rope_theta": 100.0}
THETA_50 = {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}
WHOLE_HEADS_50 = {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 1.0}}
TIED, UNTIED, BIASED = {"tie_word_embeddings": True}, {"tie_word_embeddings": False}, {"attention_bias": True}

# family: (HF class, its configuration, {variation: changes of the configuration; "hub": how the files are rearranged}). "other" has
# something else than the default in every key that changes the arithmetic and that no other variation changes.
FAMILIES = {
    "llama": ("LlamaForCausalLM", WITH_KV, {
        "dynamic": {"max_position_embeddings": 8, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 100.0}},
        "dynamic_within": {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 100.0}},
        "yarn": {"rope_parameters": YARN},
        "yarn_untruncated": {"head_dim": 16, "rope_parameters": {**YARN, "truncate": False, "mscale": 1.0, "mscale_all_dim": 0.5,
                                                                 "beta_fast": 4, "beta_slow": 2}},
        "yarn_attention_factor": {"rope_parameters": {**YARN, "attention_factor": 0.8}}}),
    "qwen2": ("Qwen2ForCausalLM", WITH_KV, {
        "plain": {}, "tied": {"tie_word_embeddings": True}, "gqa": {"num_key_value_heads": 2},
        "sliding": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
        "other": {"hidden_act": "gelu", "rms_norm_eps": 1e-2, **THETA_50}}),
    "qwen2_moe": ("Qwen2MoeForCausalLM", {**WITH_KV, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
                                          "shared_expert_intermediate_size": 12}, {
        "plain": {}, "gqa": {"num_key_value_heads": 2}, "normalized": {"norm_topk_prob": True}, "some_layers": {"mlp_only_layers": [0]},
        "unbiased": {"qkv_bias": False, "decoder_sparse_step": 2},
        "other": {"hidden_act": "gelu", "rms_norm_eps": 1e-2, "num_experts_per_tok": 3, "use_sliding_window": True,
                  "sliding_window": 5, "max_window_layers": 1, **THETA_50, **TIED}}),
    "phi": ("PhiForCausalLM", WITH_KV, {
        "plain": {}, "qk_layernorm": {"qk_layernorm": True}, "gqa": {"num_key_value_heads": 2}, "tied": {"tie_word_embeddings": True},
        "other": {"hidden_act": "relu", "layer_norm_eps": 1e-2, **WHOLE_HEADS_50}}),
    "phi3": ("Phi3ForCausalLM", {**WITH_KV, "pad_token_id": 0}, {
        "plain": {}, "gqa": {"num_key_value_heads": 2}, "sliding": {"sliding_window": 5},
        "longrope_short": {"rope_parameters": LONGROPE, "original_max_position_embeddings": 16},
        "longrope_long": {"rope_parameters": LONGROPE, "original_max_position_embeddings": 8},
        "longrope_factor": {"rope_parameters": {**LONGROPE, "factor": 3.0}, "original_max_position_embeddings": 8},
        "longrope_attention_factor": {"rope_parameters": {**LONGROPE, "attention_factor": 1.3}, "original_max_position_embeddings": 8},
        "other": {"hidden_act": "gelu", "rms_norm_eps": 1e-2, "rope_parameters": {
            "rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 0.5}, **TIED}}),
    "olmo": ("OlmoForCausalLM", WITH_KV, {"plain": {}, "gqa": {"num_key_value_heads": 2}, "clipped": {"clip_qkv": 0.7}, "biased": {"attention_bias": True},
                                              "other": {"hidden_act": "gelu", **THETA_50, **TIED}}),
    "olmo2": ("Olmo2ForCausalLM", WITH_KV, {"plain": {}, "gqa": {"num_key_value_heads": 2}, "biased": BIASED,
                                                "other": {"hidden_act": "gelu", "rms_norm_eps": 1e-2, **THETA_50, **TIED}}),
    "olmoe": ("OlmoeForCausalLM", {**WITH_KV, "intermediate_size": 8, "num_experts": 4, "num_experts_per_tok": 2}, {
        "plain": {}, "gqa": {"num_key_value_heads": 2}, "clipped": {"clip_qkv": 0.7}, "normalized": {"norm_topk_prob": True}, "biased": BIASED,
        "other": {"hidden_act": "gelu", "rms_norm_eps": 1e-2, "num_experts_per_tok": 3, **THETA_50, **TIED}}),
    "stablelm": ("StableLmForCausalLM", {**WITH_KV, "partial_rotary_factor": 0.5}, {
        "plain": {}, "biased": {"use_qkv_bias": True}, "qk_layernorm": {"qk_layernorm": True},
        "parallel": {"use_parallel_residual": True}, "gqa": {"num_key_value_heads": 2, "qk_layernorm": True},
        "other": {"hidden_act": "gelu", "layer_norm_eps": 1e-2, **WHOLE_HEADS_50, **TIED}}),
    "gemma": ("GemmaForCausalLM", {**WITH_KV, "head_dim": 6}, {"plain": {}, "mqa": {"num_key_value_heads": 1},
                                                                  "gelu": {"hub": {"config": {"hidden_act": "gelu"}}},
                                                                  "biased": BIASED, "untied": UNTIED,
                                                                  "other": {"hidden_act": "silu", "rms_norm_eps": 1e-2, **THETA_50}}),
    "cohere": ("CohereForCausalLM", WITH_KV, {"plain": {}, "qk_norm": {"use_qk_norm": True}, "biased": {"attention_bias": True},
                                                 "gqa": {"use_qk_norm": True, "num_key_value_heads": 2}, "untied": UNTIED,
                                                 "other": {"hidden_act": "gelu", "layer_norm_eps": 1e-2, "logit_scale": 0.5, **THETA_50}}),
    "starcoder2": ("Starcoder2ForCausalLM", {**LLAMA_LIKE, "num_key_value_heads": 4}, {
        "plain": {}, "gqa": {"num_key_value_heads": 2}, "unbiased": {"use_bias": False}, "sliding": {"sliding_window": 5}, "untied": {"tie_word_embeddings": False},
        "other": {"hidden_act": "silu", "norm_epsilon": 1e-2, **THETA_50}}),
    "gpt_neox": ("GPTNeoXForCausalLM", {**LLAMA_LIKE, "rotary_pct": 0.5}, {
        "plain": {}, "sequential": {"use_parallel_residual": False},
        "sequential_whole_heads": {"use_parallel_residual": False, "rotary_pct": 1.0}, "whole_heads": {"rotary_pct": 1.0},
        "unbiased": {"attention_bias": False}, "tied": {"tie_word_embeddings": True},
        "other": {"hidden_act": "relu", "layer_norm_eps": 1e-2, "rope_parameters": {
            "rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 0.5}},
        "hub": {"hub": {"dtype": "float16", "buffers": True}}}),
    "gptj": ("GPTJForCausalLM", {**GPT2_LIKE, "rotary_dim": 2}, {
        "plain": {}, "whole_heads": {"rotary_dim": 4},
        "other": {"activation_function": "relu", "layer_norm_epsilon": 1e-2, "n_inner": 20, **TIED},
        "hub": {"hub": {"dtype": "float16", "buffers": True}}}),
    "codegen": ("CodeGenForCausalLM", {**GPT2_LIKE, "rotary_dim": 2}, {"plain": {}, "eight_heads": {"n_head": 8, "rotary_dim": 2},
        "other": {"activation_function": "relu", "layer_norm_epsilon": 1e-2, "n_inner": 20, "rotary_dim": 4, **TIED},
        "hub": {"hub": {"dtype": "float16", "buffers": True}}}),
    "gpt2": ("GPT2LMHeadModel", GPT2_LIKE, {
        "plain": {}, "n_inner": {"n_inner": 12, "activation_function": "gelu"}, "unscaled": {"scale_attn_weights": False},
        "by_layer": {"scale_attn_by_inverse_layer_idx": True}, "untied": {"tie_word_embeddings": False},
        "other": {"activation_function": "relu", "layer_norm_epsilon": 1e-2},
        "hub": {"hub": {"drop": "transformer.", "buffers": True}}}),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", GPT2_LIKE, {
        "plain": {}, "mha": {"multi_query": False}, "untied": UNTIED,
        "other": {"activation_function": "relu", "layer_norm_epsilon": 1e-2, "n_inner": 20, "scale_attn_weights": False}}),
    "opt": ("OPTForCausalLM", {"vocab_size": 24, "hidden_size": 16, "ffn_dim": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
                               "max_position_embeddings": 32, "word_embed_proj_dim": 16}, {
        "plain": {}, "unbiased": {"enable_bias": False}, "no_affine": {"layer_norm_elementwise_affine": False},
        "untied": UNTIED, "other": {"activation_function": "gelu"},
        "hub": {"hub": {"drop": "model.", "dtype": "float16"}}}),
    "bloom": ("BloomForCausalLM", {"vocab_size": 24, "hidden_size": 24, "n_layer": 2, "n_head": 4}, {
        "plain": {}, "six_heads": {"n_head": 6}, "untied": UNTIED, "other": {"layer_norm_epsilon": 1e-2}, "hub": {"hub": {"drop": "transformer.", "dtype": "bfloat16"}}}),
    "mpt": ("MptForCausalLM", {"vocab_size": 24, "d_model": 24, "n_layers": 2, "n_heads": 4, "max_seq_len": 32}, {
        "plain": {}, "six_heads": {"n_heads": 6}, "clipped": {"attn_config": {"clip_qkv": 0.7}},
        "scaled": {"attn_config": {"softmax_scale": 0.3}}, "untied": UNTIED,
        "other": {"layer_norm_epsilon": 1e-2}}),
    "falcon": ("FalconForCausalLM", {"vocab_size": 24, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
                                     "max_position_embeddings": 32, "ffn_hidden_size": 20}, {
        "rw": {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
        "rw_six_heads": {"hidden_size": 24, "num_attention_heads": 6, "alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
        "rw_sixteen_heads": {"hidden_size": 32, "num_attention_heads": 16, "alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
        "7b": {}, "rotary_mha": {"multi_query": False, "parallel_attn": False},
        "40b": {"new_decoder_architecture": True, "num_kv_heads": 2},
        "one_norm": {"new_decoder_architecture": True, "num_kv_heads": 4, "num_ln_in_parallel_attn": 1},
        "untied": {"multi_query": False, "parallel_attn": False, **UNTIED},
        "other": {"multi_query": False, "activation": "relu", "layer_norm_epsilon": 1e-2, **THETA_50}}),
    "gpt_neo": ("GPTNeoForCausalLM", {"vocab_size": 24, "hidden_size": 16, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 32,
                                      "attention_types": [[["global", "local"], 1]], "window_size": 5}, {
        "plain": {}, "untied": UNTIED, "hub": {"hub": {"buffers": True}},
        "other": {"activation_function": "relu", "layer_norm_epsilon": 1e-2, "window_size": 3, "intermediate_size": 20,
                  "attention_types": [[["local", "global"], 1]]}}),
    "persimmon": ("PersimmonForCausalLM", LLAMA_LIKE, {
        "plain": {}, "no_qk_norm": {"qk_layernorm": False},
        "other": {"hidden_act": "gelu", "layer_norm_eps": 1e-2, **WHOLE_HEADS_50, **TIED}}),
}


def variations():
    return [(family, variation) for family, (_, _, all_) in FAMILIES.items() for variation in all_]


def config_of(family, variation):
    """(HF class, its configuration as a dictionary, how files are rearranged)"""
    name, base, all_ = FAMILIES[family]
    changes = dict(all_[variation])
    hub = changes.pop("hub", {})
    return getattr(transformers, name), {**base, **changes}, hub


def drawn(rng, family, settings):
    """The same variation in other sizes: layers, heads (3, 6 and 12 among them) and their width, the share of it that is turned, feed-forward and
    vocabulary; windows, original positions and lengths of pre-training stay short."""
    def key_of(*names):
        return next((name for name in names if name in settings), None)

    settings, before = dict(settings), settings
    heads_key, kv_key = key_of("num_attention_heads", "n_head", "n_heads", "num_heads"), key_of("num_key_value_heads", "num_kv_heads")
    hidden_key, layers_key = key_of("hidden_size", "n_embd", "d_model"), key_of("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    kv_heads = before.get(kv_key, before[heads_key])
    group = 1 if kv_heads == 1 else before[heads_key] // kv_heads
    heads = rng.choice([count for count in (2, 3, 4, 6, 8, 12) if count % group == 0 and (family != "codegen" or count % 4 == 0)])
    head_dim = rng.choice((4, 8, 12))
    settings |= {heads_key: heads, hidden_key: heads * head_dim, "vocab_size": rng.choice((19, 24, 40, 53))}
    settings |= {kv_key: 1 if kv_heads == 1 else heads // group} if kv_key else {}
    settings |= {"head_dim": head_dim, hidden_key: heads * rng.choice((4, 6, 10))} if "head_dim" in before else {}
    settings |= {"word_embed_proj_dim": settings[hidden_key]} if family == "opt" else {}
    settings |= {key: rng.choice((12, 20, 36)) for key in ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "moe_intermediate_size",
                                                           "shared_expert_intermediate_size") if key in before}
    settings[layers_key] = rng.choice((2, 4) if family == "gpt_neo" else (2, 3))
    if family == "gpt_neo":
        settings["attention_types"] = [[before["attention_types"][0][0], settings[layers_key] // 2]]
    if "rotary_dim" in before:
        whole = before["rotary_dim"] == before[hidden_key] // before[heads_key]
        settings["rotary_dim"] = head_dim if whole else rng.choice(range(2, head_dim, 2))
    if (share := key_of("partial_rotary_factor", "rotary_pct")) and before[share] < 1:
        settings[share] = rng.choice([part for part in (0.25, 0.5) if head_dim * part % 2 == 0])
    rope = before.get("rope_parameters", {})
    if "short_factor" in rope:
        settings["rope_parameters"] = {**rope, **{key: [rng.uniform(*bounds) for _ in range(head_dim // 2)]
                                                  for key, bounds in (("short_factor", (1, 1.5)), ("long_factor", (2, 5)))}}
    return settings


def random_model(cls, settings, seed):
    """Weights large enough for every part to show in the logits; HF's initialization hides biases and norms."""
    torch.manual_seed(seed)
    config = cls.config_class(**settings)
    model = cls(config)
    generator = torch.Generator().manual_seed(seed)
    minus_one = config.model_type == "gemma"
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        norm = parameter.dim() == 1 and name.endswith("weight") or "norms." in name
        norm = norm or (parameter.dim() == 2 and ("q_norm" in name or "k_norm" in name))
        parameter.data = (0 if minus_one else 1) + 0.2 * values if norm else 0.3 * values
    model.tie_weights()
    return model.eval()


def buffers(family, tensors):
    """What files on the hub carry beside the weights."""
    mask = torch.ones(1, 1, 32, 32, dtype=torch.uint8).tril()
    masks = {"bias": mask, "masked_bias": torch.tensor(-1e9)}
    weight, place, held = {
        "gpt_neox": ("attention.query_key_value.weight", "attention.", masks | {"rotary_emb.inv_freq": torch.ones(1)}),
        "gptj": ("attn.q_proj.weight", "attn.", masks), "codegen": ("attn.qkv_proj.weight", "attn.", {"causal_mask": mask}),
        "gpt2": ("attn.c_attn.weight", "attn.", masks), "gpt_neo": ("attn.attention.q_proj.weight", "attn.attention.", masks)}[family]
    return {name.removesuffix(weight) + place + buffer: tensor.clone()
            for name in tensors if name.endswith(weight) for buffer, tensor in held.items()}


def write_checkpoint(directory, family, variation, seed, cls=None, settings=None, hub=None):
    if cls is None:
        cls, settings, hub = config_of(family, variation)
    directory = pathlib.Path(directory)
    dtype = getattr(torch, hub.get("dtype", "bfloat16"))
    random_model(cls, settings, seed).to(dtype).save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((directory / "config.json").read_text())
    if family == "llama" and "head_dim" not in settings:
        config.pop("head_dim", None)
    config.update(hub.get("config", {}))
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if not hub.keys() & {"buffers", "drop"}:
        return
    tensors = load_file(directory / "model.safetensors")
    if hub.get("buffers"):
        tensors.update(buffers(family, tensors))
    drop = hub.get("drop", "")
    save_file({name.removeprefix(drop): tensor.contiguous() for name, tensor in tensors.items()}, directory / "model.safetensors",
              {"format": "pt"})


def logits(directory, ids_BT, cls=None):
    directory = pathlib.Path(directory)
    if cls is None:
        cls = getattr(transformers, json.loads((directory / "config.json").read_text())["architectures"][0])
    model, loading = cls.from_pretrained(directory, dtype=torch.float32, attn_implementation="sdpa" if cls.__name__ == "FalconForCausalLM" else "eager",
                                         output_loading_info=True)
    wrong = {key: value for key, value in loading.items() if value and key in ("missing_keys", "mismatched_keys", "error_msgs")}
    assert not wrong, wrong
    with torch.no_grad():
        return model.eval()(ids_BT).logits.contiguous()


def ids(seed, batch=2, count=12, vocabulary=24):
    return torch.randint(vocabulary, (batch, count), generator=torch.Generator().manual_seed(seed))
