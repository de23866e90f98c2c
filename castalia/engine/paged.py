"""One step of the model over positions of many requests, laid side by side in one row."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from castalia.engine.context import PAGE
from castalia.engine.kernel import Reach, paged_attention
from castalia.engine.pages import PagePool
from castalia.engine.request import Request
from castalia.model.config import ModelConfig
from castalia.model.decoder import PATCH_SCALE, ModelInput


@dataclass
class PagedCache:
    """What the model asks for attention; the rows of one batch reach into their requests' pages."""

    config: ModelConfig
    pool: PagePool
    reach: Reach
    start_N: Tensor

    def attend(self, layer: int, q_BTHd: Tensor, k_BTGd: Tensor, v_BTGd: Tensor) -> Tensor:
        """Store the new keys and values of `layer` and return attention over all that each position sees."""
        pages = self.pool.memory[layer]
        return paged_attention(q_BTHd[0], k_BTGd[0], v_BTGd[0], pages, self.reach, self.lowest(layer))[None]

    def lowest(self, layer: int) -> Tensor:
        """Return the first position that each position sees in `layer`."""
        return self.start_N if self.config.is_global(layer) else self.reach.lo_N


def lay_out(
    chunks: list[tuple[Request, int]], config: ModelConfig, pool: PagePool, device: torch.device
) -> tuple[ModelInput, PagedCache, Tensor]:
    """Return the model's input of N positions in one row, its cache, and where each request's last position is."""
    # Of every position: token, place (time, row, column), where the picture that it is in begins here, row of the
    # table, first and last position seen, slot.
    positions: list[tuple[int, ...]] = []
    last: list[int] = []
    features: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"patches": [], "frames": []}
    tables_RP = np.zeros((len(chunks), max(len(r.pages) for r, _ in chunks)), np.int32)
    for row, (request, count) in enumerate(chunks):
        context, pages, start, stop = request.context, request.pages, request.computed, request.computed + count
        tables_RP[row, : len(pages)] = pages
        for name, at_N, values in context.features(start, stop) if context.pieces else ():
            features[name].append((at_N + len(positions), values))
        for p in range(start, stop):
            first, final = (context.first[p], context.last[p]) if config.bidirectional_images else (p, p)
            lo = max(0, min(first, p - config.window + 1)) if config.window else 0
            slot = pages[p // PAGE] * PAGE + p % PAGE
            picture = len(positions) - p + context.first[p]
            positions.append((context.tokens[p], *context.places[p], picture, row, lo, final, slot))
        last.append(len(positions) - 1)

    def on(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(device)

    columns_9N = on(np.array(positions, np.int64).T.copy())
    tokens_N, places_3N, pictures_N, (rows_N, lo_N, hi_N, slots_N) = (
        columns_9N[0], columns_9N[1:4], columns_9N[4], columns_9N[5:],
    )  # fmt: skip
    nothing = config.patch_values, config.frame_values
    (patches_NP, patch_at_N), (frames_MF, frame_at_M) = map(_joined, features.values(), nothing)
    inputs = ModelInput(
        tokens_BT=tokens_N[None],
        places_BT3=places_3N.T[None],
        documents_BT=torch.zeros_like(tokens_N)[None],
        images_BT=pictures_N[None],
        patches_NP=on(patches_NP).float() / PATCH_SCALE,
        patch_at_N=on(patch_at_N),
        frames_MF=on(frames_MF),
        frame_at_M=on(frame_at_M),
        masks=(None, None),
    )
    reach = Reach(slots_N, rows_N, lo_N, hi_N, on(tables_RP))
    return inputs, PagedCache(config, pool, reach, torch.zeros_like(lo_N)), on(np.array(last))


def _joined(found: list[tuple[np.ndarray, np.ndarray]], width: int) -> tuple[np.ndarray, np.ndarray]:
    if not found:
        return np.zeros((0, width), np.float32), np.zeros(0, np.int64)
    return np.concatenate([values for _, values in found]), np.concatenate([at_N for at_N, _ in found])
