"""What a forward keeps for its backward, tensor by tensor.

References
----------
Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models", MLSys 2023, section 4. For a plain
GPT in 16 bits a layer keeps ``s b h (34 + 5 a s / h)`` bytes, and every other formula of its table 2 follows, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clustersim.scenario.model import ModelSpec
from clustersim.workload.model.layers import LayerKind
from clustersim.workload.model.linears import attention_linears, layer_linears, mlp_linears, output_linear, rows_of
from clustersim.workload.model.microbatch import ONE_SAMPLE, MicroBatch
from clustersim.workload.model.recompute import kept_share
from clustersim.workload.model.shard import WHOLE, Shard, divided

LOGIT_BYTES = 4  # the loss is computed in fp32
_ROUTING_BYTES = 4  # and so are the probabilities of experts


@dataclass(frozen=True, slots=True)
class Kept:
    """A tensor that stays from the forward to the backward."""

    name: str
    num_bytes: int
    is_core: bool = False  # of the attention core, which selective recomputation and FlashAttention do without


def layer_activation_bytes(
    model: ModelSpec, kind: LayerKind, microbatch: MicroBatch = ONE_SAMPLE, shard: Shard = WHOLE
) -> int:
    """Return what one GPU keeps of one layer and micro-batch. [bytes]

    Notes
    -----
    FlashAttention's one number per row (4 bytes a head and token) is left out, as is usual. Gradients on their way back
    are not counted: they live for one op.
    """
    if microbatch.recompute == "full":
        tokens = shard.sequence_tokens(microbatch.num_samples * model.seq_length)
        return microbatch.sizes.activation_bytes * tokens * model.hidden_size
    modules = microbatch.recomputed_modules if microbatch.recompute == "selective" else ()
    if microbatch.flash_attention:
        modules = (*modules, "core_attn")
    kept = kept_tensors(model, kind, microbatch, shard)
    shares = ((tensor, kept_share(modules, tensor.name, tensor.is_core, model.gated_mlp)) for tensor in kept)
    return sum(-int(-tensor.num_bytes * share // 1) for tensor, share in shares)


def kept_tensors(
    model: ModelSpec, kind: LayerKind, microbatch: MicroBatch = ONE_SAMPLE, shard: Shard = WHOLE
) -> tuple[Kept, ...]:
    """Return every tensor that a forward of one layer makes for its backward, without recomputation."""
    return tuple(_Layer(model, kind, microbatch, shard).tensors())


def weight_grad_bytes(
    model: ModelSpec, kind: LayerKind, microbatch: MicroBatch = ONE_SAMPLE, shard: Shard = WHOLE
) -> int:
    """Return what the weight gradients (W) of a layer still need once its input gradient (I) is done. [bytes]

    These are the inputs of its linear layers and the gradients of their outputs: 32 s b h for a plain GPT in 16 bits.

    References
    ----------
    Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024, table 1.
    """
    num_tokens = microbatch.num_samples * model.seq_length
    total, inputs = 0, dict[str, int]()
    for linear in layer_linears(model, kind, shard):
        rows, own = rows_of(linear, model, shard, num_tokens), shard.sequence_tokens(num_tokens)
        is_routed = linear.num_experts > 0
        # what enters or leaves a region of tensor parallelism is kept in its sequence-parallel pieces
        rows_in = rows if linear.split == "row" or is_routed else own
        rows_out = rows if linear.split != "row" or is_routed else own
        inputs[_shared_input(linear.name)] = rows_in * linear.inputs
        total += rows_out * linear.outputs
    return microbatch.sizes.operand_bytes(total + sum(inputs.values()))


def _shared_input(name: str) -> str:
    """Return the name of a linear layer's input: several read the same."""
    if name in ("q", "q_down", "kv_down"):
        return "attention input"
    return "mlp input" if name in ("router", "shared_fc1", "shared_gate") else name


def embedding_activation_bytes(model: ModelSpec, microbatch: MicroBatch = ONE_SAMPLE, shard: Shard = WHOLE) -> int:
    """Return what one GPU keeps of the embedding: the mask of its dropout, s b h (/ t) bytes. [bytes]"""
    tokens = shard.sequence_tokens(microbatch.num_samples * model.seq_length)
    normed = microbatch.sizes.activation_bytes if model.embedding_norm else 0
    return (int(model.has_dropout) + normed) * tokens * model.hidden_size


def mtp_activation_bytes(model: ModelSpec, microbatch: MicroBatch = ONE_SAMPLE, shard: Shard = WHOLE) -> int:
    """Return what one GPU keeps of an MTP module's two norms and its projection, beside its layer. [bytes]"""
    tokens = shard.sequence_tokens(microbatch.num_samples * model.seq_length)
    sizes, num_values = microbatch.sizes, 2 * tokens * model.hidden_size
    return sizes.activation_bytes * num_values + sizes.operand_bytes(num_values)


def output_activation_bytes(model: ModelSpec, microbatch: MicroBatch = ONE_SAMPLE, shard: Shard = WHOLE) -> int:
    """Return what one GPU keeps of final norm, output layer and loss: 4 s b h / t + 4 s b V / t in 16 bits. [bytes]"""
    num_tokens = microbatch.num_samples * model.seq_length
    width = microbatch.sizes.activation_bytes
    states = 2 * width * shard.sequence_tokens(num_tokens) * model.hidden_size
    return states + logits_bytes(model, microbatch, shard)


def logits_bytes(model: ModelSpec, microbatch: MicroBatch = ONE_SAMPLE, shard: Shard = WHOLE) -> int:
    """Return what one GPU keeps of the logits: 4 s b V / t, as the loss is computed in fp32. [bytes]"""
    num_tokens = microbatch.num_samples * model.seq_length
    return LOGIT_BYTES * shard.tokens(num_tokens) * output_linear(model, shard).outputs


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of one GPU, a micro-batch passing."""

    model: ModelSpec
    kind: LayerKind
    microbatch: MicroBatch
    shard: Shard

    @property
    def width(self) -> int:
        return self.microbatch.sizes.activation_bytes

    def operand_bytes(self, num_values: int) -> int:
        return self.microbatch.sizes.operand_bytes(num_values)

    @property
    def num_tokens(self) -> int:
        return self.microbatch.num_samples * self.model.seq_length

    @property
    def residual(self) -> int:
        """Values of the residual stream on this GPU."""
        return self.shard.sequence_tokens(self.num_tokens) * self.model.hidden_size

    def tensors(self) -> Iterator[Kept]:
        for norm in range(self.model.norms_per_layer):
            yield Kept(f"norm{norm} input", self.width * self.residual)
        yield from self._attention()
        yield from self._experts() if self.kind.has_experts else self._mlp()
        if self.model.has_dropout:
            yield Kept("attention dropout mask", self.residual)
            yield Kept("mlp dropout mask", self.residual)

    def _attention(self) -> Iterator[Kept]:
        model, tokens = self.model, self.shard.tokens(self.num_tokens)
        heads = divided(model.num_attention_heads, self.shard.tp)
        groups = heads if model.mla else divided(model.kv_heads, self.shard.tp)
        yield Kept("attention input", self.operand_bytes(self.residual))
        if model.mla:
            yield from self._latent()
        if model.qk_norm:
            yield Kept("qk norm input", self.width * tokens * (heads + groups) * model.head_size)
        yield Kept("queries", self.width * tokens * heads * model.head_size)
        yield Kept("keys", self.width * tokens * groups * model.head_size)
        yield Kept("values", self.width * tokens * groups * model.value_size)
        yield Kept("projection input", self.operand_bytes(tokens * heads * model.value_size))
        scores = heads * tokens * model.seq_length
        yield Kept("softmax", self.width * scores, is_core=True)
        if model.has_dropout:
            yield Kept("softmax dropout mask", scores, is_core=True)
            yield Kept("dropped softmax", self.width * scores, is_core=True)

    def _latent(self) -> Iterator[Kept]:
        """The outputs of the projections down, and the same once more after their norms."""
        own = self.shard.sequence_tokens(self.num_tokens)
        for linear in attention_linears(self.model, self.shard):
            if linear.split == "none":
                yield Kept(f"{linear.name} output", self.width * own * linear.outputs)
        mla = self.model.mla
        ranks = (mla.q_lora_rank or 0) + mla.kv_lora_rank if mla else 0
        yield Kept("normed ranks", self.operand_bytes(own * ranks))

    def _mlp(self) -> Iterator[Kept]:
        yield Kept("mlp input", self.operand_bytes(self.residual))
        yield from self._inner("fc", self.shard.tokens(self.num_tokens))

    def _experts(self) -> Iterator[Kept]:
        moe = self.model.moe
        if moe is None:
            return
        own = self.shard.sequence_tokens(self.num_tokens)
        rows = self.shard.routed_rows(self.num_tokens, moe.top_k)
        yield Kept("mlp input", self.width * self.residual)
        yield Kept("router probabilities", _ROUTING_BYTES * own * moe.num_experts)
        yield Kept("expert input", self.operand_bytes(rows * self.model.hidden_size))
        yield from self._inner("expert_fc", rows)
        if moe.num_shared_experts:
            yield from self._inner("shared_fc", self.shard.tokens(self.num_tokens))

    def _inner(self, name: str, num_rows: int) -> Iterator[Kept]:
        """Between two linear layers: what enters the activation function, and what leaves it."""
        widths = {linear.name: linear for linear in mlp_linears(self.model, self.kind, self.shard)}
        yield Kept(f"{name} activation input", self.width * num_rows * widths[f"{name}1"].outputs)
        yield Kept(f"{name}2 input", self.operand_bytes(num_rows * widths[f"{name}2"].inputs))
