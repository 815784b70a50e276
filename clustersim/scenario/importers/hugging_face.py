"""Hugging Face's ``config.json``: the shape of a model."""

from __future__ import annotations

from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.importers.draft import Draft, Found, Imported
from clustersim.scenario.importers.hf_config import Config, language_model
from clustersim.scenario.importers.hf_families import FAMILIES, LLAMA, Family
from clustersim.scenario.importers.hf_layers import put_experts, put_window
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.node import Path
from clustersim.scenario.read_json import read_json
from clustersim.scenario.text import Text

_DROPOUTS = ("resid_pdrop", "attn_pdrop", "hidden_dropout", "attention_dropout", "dropout")
_LATENT = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
_LENGTHS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")


def import_hugging_face(file: str, text: str, seq_length: int | None = None) -> Imported:
    """Return the model that a config.json describes.

    Parameters
    ----------
    file
        What messages call the file.
    text
        What is in it.
    seq_length
        Tokens of a sample; absent: the most that the file says the model takes.

    Raises
    ------
    ScenarioError
        No JSON, keys that are missing, or values that no model can have; all of them.

    Examples
    --------
    >>> config = '{"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,'
    >>> config += ' "intermediate_size": 172, "vocab_size": 320, "max_position_embeddings": 128}'
    >>> import_hugging_face("config.json", config).sections["model"]["ffn_hidden_size"]
    172
    """
    root = read_json(Text(file, text))
    if not root.entries:
        raise ScenarioError(Fault("", "a config.json holds keys and values (a mapping)", root.position))
    node, prefix = language_model(root)
    draft = Draft(prefix)
    config = Config(node, draft, prefix)
    kind = config.text("model_type")
    family = FAMILIES.get(kind, LLAMA)
    if kind not in FAMILIES:
        draft.notes.append(
            f"The model_type {kind or 'is missing'} is not known here: norms and biases are as in Llama."
        )
    _put_sizes(draft, config, seq_length)
    _put_attention(draft, config)
    put_window(draft, config, family)
    put_experts(draft, config, family)
    _put_style(draft, config, family)
    draft.raise_if_faulty()
    draft.check("model", ModelSpec)
    draft.raise_if_faulty()
    return Imported({"model": draft.section("model")}, tuple(draft.notes))


def _put_sizes(draft: Draft, config: Config, seq_length: int | None) -> None:
    hidden = config.needed("hidden_size", "n_embd", "n_embed", "d_model")
    draft.put(_key("num_layers"), config.needed("num_hidden_layers", "n_layer", "n_layers", "num_layers"))
    draft.put(_key("hidden_size"), hidden)
    draft.put(_key("num_attention_heads"), config.needed("num_attention_heads", "n_head", "n_heads", "num_heads"))
    width = config.number("intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim")
    ratio = config.number("expansion_ratio")
    if width is None and ratio and hidden:
        width = Found(ratio.value * hidden.value, ratio.written, ratio.position)
    draft.put(_key("ffn_hidden_size"), width)
    draft.put(_key("vocab_size"), config.needed("vocab_size"))
    if seq_length is not None:
        draft.put_plain(_key("seq_length"), seq_length)
    else:
        draft.put(_key("seq_length"), config.needed(*_LENGTHS))
        draft.notes.append("seq_length is the longest that the model takes; give the one that it is trained with.")


def _put_attention(draft: Draft, config: Config) -> None:
    if config.number("kv_lora_rank"):
        draft.put(("model", "mla", "q_lora_rank"), config.number("q_lora_rank"))
        for name in _LATENT:
            draft.put(("model", "mla", name), config.needed(name))
        return
    groups = config.number("num_key_value_heads", "num_kv_heads", "n_head_kv")
    all_alike = config.flag("multi_query")
    if all_alike and all_alike.value and not config.is_on("new_decoder_architecture"):
        groups = Found(1, all_alike.written, all_alike.position)
    draft.put(_key("num_query_groups"), groups)
    draft.put(_key("head_dim"), config.number("head_dim"))


def _put_style(draft: Draft, config: Config, family: Family) -> None:
    """Set norms, biases and embeddings: by the family's code, changed by the few keys that there are for them."""
    tied = config.flag("tie_word_embeddings")
    draft.put_plain(_key("tied_embeddings"), bool(tied.value) if tied else family.tied_embeddings)
    draft.put_plain(_key("gated_mlp"), family.gated_mlp)
    draft.put_plain(_key("norm"), family.norm)
    for name in ("embedding_norm", "qk_norm", "attention_sinks"):
        if getattr(family, name):
            draft.put_plain(_key(name), True)
    one_norm = config.is_on("parallel_attn") and not config.is_on("new_decoder_architecture")
    norms = 1 if one_norm else family.norms_per_layer
    if norms != 2:
        draft.put_plain(_key("norms_per_layer"), norms)
    of_attention = family.qkv_bias or config.is_on("attention_bias", "qkv_bias")
    everywhere = family.linear_bias or config.is_on("mlp_bias", "bias", "use_bias")
    draft.put_plain(_key("linear_bias"), everywhere)
    if of_attention != everywhere:
        draft.put_plain(_key("qkv_bias"), of_attention)
    length = config.number(*_LENGTHS)
    positions = length.value + family.extra_positions if length and family.learned_positions else 0
    draft.put_plain(_key("learned_positions"), positions)
    draft.put_plain(_key("dropout"), config.is_positive(*_DROPOUTS))
    draft.put(_key("num_mtp_layers"), config.number("num_nextn_predict_layers", least=0))


def _key(name: str) -> Path:
    return "model", name
