"""segmentation-models-pytorch in a plain loop: Unet over resnet18, as its examples have it.

    python smp_loop.py CROPS.npz THREADS plain|tuned

Runs in an environment of its own; answers as `protocol` tells. CROPS holds train_x (S, B, C, H, W)
float32, train_y (S, B, H, W) int64, dev_x, dev_y likewise without steps.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import segmentation_models_pytorch as smp
import torch
from protocol import serve
from torch.nn import functional as F

BLOCK = 10


class Loop:
    """Trains step by step on the given crops; `tuned`: channels last and bfloat16 as well."""

    def __init__(self, crops: str, threads: int, tuned: bool) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        held = np.load(crops)
        self.x, self.y = (torch.from_numpy(held[f"train_{name}"]) for name in "xy")
        self.dev_x, self.dev_y = (torch.from_numpy(held[f"dev_{name}"]) for name in "xy")
        classes = int(self.y.max()) + 1
        self.network = smp.Unet(
            "resnet18", encoder_weights=None, in_channels=self.x.shape[2], classes=classes
        )
        self.dice = smp.losses.DiceLoss("multiclass", ignore_index=-1)
        self.tuned = tuned
        if tuned:
            self.network = self.network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=2e-3, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, len(self.x))
        self.step = 0

    def block(self) -> float:
        """Seconds of the next steps."""
        self.network.train()
        began = time.perf_counter()
        for _ in range(min(BLOCK, len(self.x) - self.step)):
            x, y = self.x[self.step], self.y[self.step]
            if self.tuned:
                x = x.to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.tuned):
                logits = self.network(x).float()
            loss = F.cross_entropy(logits, y, ignore_index=-1) + self.dice(logits, y)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.step += 1
        return time.perf_counter() - began

    def guesses(self) -> list[list[int]]:
        """Right, predicted, true pixels of each class on dev."""
        self.network.eval()
        with torch.inference_mode():
            found = torch.cat([self.network(x[None]).argmax(1) for x in self.dev_x])
        known, classes = self.dev_y >= 0, int(self.y.max()) + 1
        guess, truth = found[known], self.dev_y[known]
        parts = (guess[guess == truth], guess, truth)
        return [torch.bincount(part, minlength=classes).tolist() for part in parts]


if __name__ == "__main__":
    serve(Loop(sys.argv[1], int(sys.argv[2]), tuned=sys.argv[3] == "tuned"))
