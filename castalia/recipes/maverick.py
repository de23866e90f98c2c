"""`maverick`: the predecessor: the tasks and data of `ladder`, learned as it was done before; what is to be beaten."""

from dataclasses import replace

from castalia.recipes import ladder
from castalia.training.recipe import Recipe

PARTS = {
    "encoder-free fusion": {"model.vision_layers": "2"},
    "blocks": {
        "model.activation": "swiglu",
        "model.experts": "4",
        "model.parallel_blocks": "false",
        "model.qk_norm": "false",
        "model.gated_attention": "false",
        "model.value_embeddings": "false",
        "model.window": "0",
        "model.rope_axes": "1",
        "model.softcap": "0",
        "model.zero_init": "false",
        "model.grid": "16",
    },
    "empty patches": {"perception.drop_empty_patches": "false"},
    "questions a picture": {"data.questions": "1"},
    "mixture": {"data.mixture": "digits:1,speech:1,charts:1,mazes:1,countdown:1,prose:1"},
    "optimizer": {"training.optimizer": "adamw", "training.matrix_lr": "0.008", "training.other_lr": "0.008"},
    "schedule": {"training.schedule": "cosine"},
}
"""What differs, part by part, and how: each can be switched alone."""


def recipe() -> Recipe:
    """Return the predecessor at its full size."""
    settings = {field: value for part in PARTS.values() for field, value in part.items()}
    return replace(ladder.recipe().override(settings), name="maverick")
