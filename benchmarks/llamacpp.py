"""llama.cpp as a peer: a Hugging Face Llama written as GGUF (fp32, no vocabulary), and decoding with its C library.

Needs `pip install gguf` and, named by the environment variable LLAMA_CPP, a directory of llama.cpp's shared libraries:
of one's own build, or prebuilt for every kind of processor by ``npm install @node-llama-cpp/linux-x64``, in
node_modules/@node-llama-cpp/linux-x64/bins/linux-x64.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Names of a layer's weights, there and in GGUF."""


def write_gguf(model: Any, path: Path) -> None:
    """Write a LlamaForCausalLM; rows of queries and keys in llama.cpp's order, which turns neighbours."""
    import gguf

    config = model.config
    half = config.hidden_size // config.num_attention_heads // 2
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_tokenizer_model("no_vocab")
    weights = {name: weight.detach().float().numpy() for name, weight in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    writer.add_tensor("output.weight", weights["lm_head.weight"])
    for layer in range(config.num_hidden_layers):
        for theirs, ours in TENSORS.items():
            weight_OI = weights[f"model.layers.{layer}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):
                weight_OI = weight_OI.reshape(-1, 2, half, config.hidden_size).swapaxes(1, 2).reshape(weight_OI.shape)
            writer.add_tensor(f"blk.{layer}.{ours}.weight", weight_OI)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Opaque(ctypes.Structure):
    """A structure that is only passed on, with room for its fields: llama.cpp's parameters and batches."""

    _fields_ = (("fields", ctypes.c_char * 1024),)


class LlamaCpp:
    """A model and its context in llama.cpp, called as its own examples do: one sequence, greedily."""

    def __init__(self, directory: Path, model: Path) -> None:
        """Load the libraries (the processor's own among them) and the model. Raises OSError if either is missing."""
        base, common, self.library = (self._load(directory, name) for name in ("ggml-base", "ggml", "llama"))
        self.kept = [base, common]
        pointer = ctypes.c_void_p
        for name in (
            "llama_model_load_from_file",
            "llama_init_from_model",
            "llama_get_logits_ith",
            "llama_get_memory",
        ):
            getattr(self.library, name).restype = pointer
        for name in ("llama_model_default_params", "llama_context_default_params", "llama_batch_get_one"):
            getattr(self.library, name).restype = Opaque
        silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, pointer)(lambda *_: None)
        self.kept.append(silent)
        self.library.llama_log_set(silent, None)
        common.ggml_backend_load_all_from_path(str(directory).encode())
        self.library.llama_backend_init()
        self.model = pointer(
            self.library.llama_model_load_from_file(str(model).encode(), self.library.llama_model_default_params())
        )
        if not self.model:
            raise OSError(f"llama.cpp cannot load {model}")
        self.context = pointer(
            self.library.llama_init_from_model(self.model, self.library.llama_context_default_params())
        )
        self.memory = pointer(self.library.llama_get_memory(self.context))
        threads = torch.get_num_threads()
        self.library.llama_set_n_threads(self.context, threads, threads)

    @staticmethod
    def _load(directory: Path, name: str) -> ctypes.CDLL:
        found = sorted(directory.glob(f"lib{name}.so")) or sorted(directory.glob(f"lib{name}.*so*"))
        if not found:
            raise OSError(f"{directory} has no lib{name}.so")
        return ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_GLOBAL)

    def go_on(self, prompt: list[int], written: int, vocabulary: int) -> list[int]:
        """Return the likeliest continuation."""
        self.library.llama_memory_clear(self.memory, ctypes.c_bool(True))
        tokens, said = prompt, []
        for _ in range(written):
            array = (ctypes.c_int32 * len(tokens))(*tokens)
            if self.library.llama_decode(self.context, self.library.llama_batch_get_one(array, len(tokens))):
                raise OSError("llama.cpp cannot decode")
            address = self.library.llama_get_logits_ith(self.context, -1)
            logits_V = np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_float)), (vocabulary,))
            said.append(int(logits_V.argmax()))
            tokens = said[-1:]
        return said

    def close(self) -> None:
        """Free the context and the model."""
        self.library.llama_free(self.context)
        self.library.llama_model_free(self.model)


@contextmanager
def llamacpp(model: Any, written: int) -> Iterator[Callable[[list[list[int]]], list[list[int]]] | None]:
    """Give a function that continues prompts of token ids by `written` tokens, greedily; None without llama.cpp."""
    directory = os.environ.get("LLAMA_CPP")
    if not directory or not find_spec("gguf"):
        yield None
        return
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.gguf"
        write_gguf(model, path)
        peer = LlamaCpp(Path(directory), path)
        try:
            yield lambda prompts: [peer.go_on(prompt, written, model.config.vocab_size) for prompt in prompts]
        finally:
            peer.close()
