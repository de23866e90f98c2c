"""llama.cpp as a peer: a Hugging Face Llama written as GGUF (fp32, no vocabulary), and decoding with it.

Needs: pip install llama-cpp-python gguf (the former builds llama.cpp for this processor, which takes minutes).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
    """Write a LlamaForCausalLM; rows of queries and keys keep their order, which does not matter to speed."""
    import gguf

    config = model.config
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
            writer.add_tensor(f"blk.{layer}.{ours}.weight", weights[f"model.layers.{layer}.{theirs}.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def llamacpp(model: Any, written: int) -> Iterator[Callable[[list[int]], None] | None]:
    """Give a function that continues token ids by `written` tokens, greedily; None where llama.cpp is not installed."""
    if not all(map(find_spec, ("gguf", "llama_cpp"))):
        yield None
        return
    from llama_cpp import Llama

    with TemporaryDirectory() as directory:
        path = Path(directory) / "model.gguf"
        write_gguf(model, path)
        llama = Llama(str(path), n_ctx=512, n_threads=torch.get_num_threads(), n_threads_batch=2, verbose=False)

        def go_on(prompt: list[int]) -> None:
            for number, _ in enumerate(llama.generate(prompt, temp=0.0, reset=True), 1):
                if number == written:
                    return

        yield go_on
        llama.close()
