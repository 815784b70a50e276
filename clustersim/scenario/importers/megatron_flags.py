"""Megatron's flags, read one by one with their positions.

References
----------
Megatron-LM, ``megatron/training/arguments.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clustersim.errors import Fault
from clustersim.scenario.importers.draft import Draft, Found
from clustersim.scenario.importers.launch_script import Flag

ARGUMENTS = {
    "num-layers", "hidden-size", "ffn-hidden-size", "num-attention-heads", "kv-channels", "num-query-groups",
    "seq-length", "encoder-seq-length", "max-position-embeddings", "vocab-size", "padded-vocab-size",
    "make-vocab-size-divisible-by", "position-embedding-type", "normalization", "num-experts", "moe-router-topk",
    "moe-ffn-hidden-size", "moe-shared-expert-intermediate-size", "moe-layer-freq", "q-lora-rank", "kv-lora-rank",
    "qk-head-dim", "qk-pos-emb-head-dim", "v-head-dim", "mtp-num-layers", "hidden-dropout", "attention-dropout",
    "tensor-model-parallel-size", "pipeline-model-parallel-size", "context-parallel-size",
    "expert-model-parallel-size", "expert-tensor-parallel-size", "num-layers-per-virtual-pipeline-stage",
    "num-virtual-stages-per-pipeline-rank", "pipeline-model-parallel-layout", "decoder-first-pipeline-num-layers",
    "decoder-last-pipeline-num-layers", "micro-batch-size", "global-batch-size", "recompute-granularity",
    "fp8-format", "attention-backend", "microbatch-group-size-per-virtual-pipeline-stage", "nproc-per-node", "nnodes",
    "window-size", "pad-vocab-size-to", "zero-stage", "recompute-method", "recompute-num-layers", "recompute-modules",
    "activations-checkpoint-method", "activations-checkpoint-num-layers", "checkpoint-num-layers",
}  # fmt: skip
"""Flags with a value that decide over a scenario; some are Megatron-DeepSpeed's."""

SWITCHES = {
    "group-query-attention", "swiglu", "untie-embeddings-and-output-weights", "disable-bias-linear", "add-qkv-bias",
    "qk-layernorm", "use-rotary-position-embeddings", "multi-latent-attention", "moe-router-enable-expert-bias",
    "moe-shared-expert-gate", "sequence-parallel", "recompute-activations", "bf16", "fp16", "use-flash-attn",
    "use-distributed-optimizer", "overlap-grad-reduce", "overlap-param-gather", "tp-comm-overlap",
    "account-for-embedding-in-pipeline-split", "account-for-loss-in-pipeline-split", "use-megatron-fsdp",
    "use-torch-fsdp2", "checkpoint-activations", "embed-layernorm",
}  # fmt: skip
"""Flags without a value that decide over a scenario."""


class Flags:
    """The flags of a script by name; every reading method notes what is wrong with a value."""

    def __init__(self, flags: Iterable[Flag], draft: Draft) -> None:
        self._draft = draft
        self._by_name: dict[str, Flag] = {}
        self.others: list[str] = []
        for flag in flags:
            name = flag.name[2:].replace("_", "-")
            if name not in ARGUMENTS | SWITCHES:
                self.others.append(flag.name)
                continue
            before = self._by_name.get(name)
            if before and name in ARGUMENTS and before.value != flag.value:
                what = f"got {flag.value}; line {before.position.line} says {before.value}"
                self._fault(flag, what, "keep the one that the job runs with")
            self._by_name[name] = flag

    def has(self, name: str) -> bool:
        """Return whether a switch is there."""
        return name in self._by_name

    def number(self, *names: str) -> Found | None:
        """Return a whole number above zero, of the first of several names that is there; None if there is none."""
        for name in names:
            flag = self._by_name.get(name)
            if flag is not None:
                text = self._text(flag)
                if text is None:
                    return None
                if not (text.isascii() and text.isdecimal()) or int(text) < 1:
                    self._fault(flag, f"must be a whole number of at least 1; got {text!r}")
                    return None
                return Found(int(text), flag.name, flag.position)
        return None

    def number_if_told(self, name: str) -> Found | None:
        """Return a whole number as `number` does; None, too, if only a shell could know it."""
        flag = self._by_name.get(name)
        return None if flag is None or flag.unknown else self.number(name)

    def needed(self, *names: str) -> Found | None:
        """Return a whole number that every job has; note that it is missing if it is."""
        if not any(name in self._by_name for name in names):
            self._draft.faults.append(Fault(f"--{names[0]}", "is not among the flags"))
        return self.number(*names)

    def size(self, name: str) -> int:
        """Return a size that is 1 if it is not given."""
        found = self.number(name)
        return int(found.value) if found else 1

    def text(self, name: str, choices: Sequence[str] = ()) -> Found | None:
        """Return a text, one of `choices` if there are any; None if there is none."""
        flag = self._by_name.get(name)
        text = self._text(flag) if flag else None
        if flag is None or text is None:
            return None
        if choices and text not in choices:
            self._fault(flag, f"got {text!r}; allowed: {', '.join(choices)}")
            return None
        return Found(text, flag.name, flag.position)

    def words(self, name: str, choices: Sequence[str]) -> Found | None:
        """Return the words of a flag that takes several, each one of `choices`; None if there is none."""
        flag = self._by_name.get(name)
        text = self._text(flag) if flag else None
        if flag is None or text is None:
            return None
        words = [text, *flag.further]
        strange = [word for word in words if word not in choices]
        if strange:
            self._fault(flag, f"got {strange[0]!r}; allowed: {', '.join(choices)}")
            return None
        return Found(words, flag.name, flag.position)

    def switch(self, name: str, value: object = True) -> Found | None:
        """Return `value` at the place of a switch that is there; None if it is not."""
        flag = self._by_name.get(name)
        return Found(value, flag.name, flag.position) if flag else None

    def is_off(self, name: str) -> bool:
        """Return whether a probability is given as zero."""
        flag = self._by_name.get(name)
        text = self._text(flag) if flag else None
        try:
            return text is not None and float(text) == 0
        except ValueError:
            if flag:
                self._fault(flag, f"must be a number; got {text!r}")
            return False

    def fault(self, found: Found, what: str, hint: str = "") -> None:
        """Note a mistake in a value."""
        self._draft.faults.append(Fault(found.written, what, found.position, hint))

    def _text(self, flag: Flag) -> str | None:
        if flag.value is None:
            self._fault(flag, "has no value")
            return None
        if flag.unknown:
            hint = "scripts are read, not run: write the value in its place"
            self._fault(flag, f"only a shell could tell what {flag.unknown} is", hint)
            return None
        return flag.value

    def _fault(self, flag: Flag, what: str, hint: str = "") -> None:
        self._draft.faults.append(Fault(flag.name, what, flag.position, hint))
