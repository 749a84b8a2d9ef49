"""Every comparison that `make bench` makes, as one table to read and to change. Data alone.

Course MLP: 784-512-256-128-10 with dropout 0.2. 2 x 1: two ranks of one thread each over gloo on loopback.
All of ours train on all 60,000 images, as the peers do, and look at the test images once, at the end.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from bench.plan import Comparison, Contender, Group

FP32, BF16 = "32-true", "bf16-mixed"
LINKS = {  # name -> rate as tc writes it
    "1 Gbit/s": "1gbit",
    "100 Mbit/s": "100mbit",
}
PLACES = {  # where a way is timed -> its group there, what follows the way in its contender's name
    "loopback": ("ways", ""),
    **{link: ("links", f", {link}") for link in LINKS},
}
BATCHES = (64, 1024)  # local ones of the scaling plot, beside 512

COURSE = Contender(name="", program="lightning", epochs=5, batch=512, world=2, precision=FP32, expected_s=14)
WAYS: dict[str, dict[str, Any]] = {  # of training over a slow link -> what differs from DDP
    "DDP": {},
    "accumulation 4": {"accumulate": 4},
    "local SGD 4": {"local_sgd": 4},
    "local SGD 16": {"local_sgd": 16},
}
SLOW_S = {"1 Gbit/s": (8, 8, 8, 7), "100 Mbit/s": (19, 11, 10, 8)}  # expected, in the order of WAYS

ONE_RANK = Contender(name="", program="plain", epochs=2, batch=512, precision=FP32, expected_s=8)


def _links() -> tuple[Contender, ...]:
    base = replace(COURSE, program="plain", epochs=1)
    return tuple(
        replace(base, name=f"{way}, {link}", link=link, expected_s=seconds,
                is_quick=way in ("DDP", "local SGD 16"), **changes)
        for link in LINKS
        for (way, changes), seconds in zip(WAYS.items(), SLOW_S[link], strict=True)
    )  # fmt: skip


GROUPS = (
    Group(name="ddp-loop", title="The DataLoader + DistributedSampler + DDP loop", rounds=3, contenders=(
        replace(COURSE, name="DDP loop", program="ddp_loop", batch=64, expected_s=46),
        replace(COURSE, name="ours, batch 64, fp32", batch=64, expected_s=32, is_quick=False),
        replace(COURSE, name="ours, batch 512, fp32"),
        replace(COURSE, name="ours, batch 512, bf16", precision=BF16, expected_s=12),
        replace(COURSE, name="ours, 4 epochs, bf16", epochs=4, precision=BF16, expected_s=12, is_quick=False),
        replace(COURSE, name="mlp-512, batch 256, 3 epochs, bf16", net="mlp-512", epochs=3, batch=256,
                precision=BF16, expected_s=10, is_quick=False),
    )),
    Group(name="loaders", title="DataLoader workers", rounds=2, contenders=(
        replace(COURSE, name="DDP loop, 0 workers", program="ddp_loop", batch=64, epochs=1, expected_s=20,
                is_quick=False),
        replace(COURSE, name="DDP loop, 2 workers", program="ddp_loop", batch=64, epochs=1, workers=2,
                expected_s=28, is_quick=False),
    )),
    Group(name="tutorial", title="The Lightning tutorial", rounds=3, contenders=(
        Contender(name="tutorial", program="lightning_tutorial", net="mlp-100", epochs=2, batch=64,
                  threads=None, expected_s=27),
        Contender(name="tutorial, 2 workers", program="lightning_tutorial", net="mlp-100", epochs=1, batch=64,
                  threads=None, workers=2, expected_s=16, is_quick=False),
        Contender(name="ours, batch 64", program="lightning", net="mlp-100", epochs=2, batch=64,
                  precision=FP32, threads=None, expected_s=10, is_quick=False),
        Contender(name="ours, as it comes", program="lightning", net="mlp-100", epochs=5, threads=None,
                  expected_s=9),
    )),
    Group(name="lightning", title="Lightning's own cost", rounds=5, contenders=(
        replace(COURSE, name="plain loop", program="plain", world=1, epochs=3, expected_s=9),
        replace(COURSE, name="Lightning", world=1, epochs=3, expected_s=10),
    )),
    Group(name="accuracy", title="Accuracy", rounds=5, contenders=(
        Contender(name="mlp-512", program="lightning", net="mlp-512", epochs=3, threads=None, expected_s=7),
        Contender(name="mlp-512-256-128", program="lightning", epochs=5, threads=None, expected_s=9),
        Contender(name="lenet", program="lightning", net="lenet", epochs=2, threads=None, expected_s=12,
                  is_quick=False),
    )),
    Group(name="ranks", title="Ranks of one machine", rounds=3, contenders=(
        replace(ONE_RANK, name="1 x 1, batch 512"),
        replace(ONE_RANK, name="2 x 1, batch 512", world=2, expected_s=9),
        *(replace(ONE_RANK, name=f"{world} x 1, batch {batch}", batch=batch, world=world, epochs=1,
                  expected_s=7, is_quick=False) for batch in BATCHES for world in (1, 2)),
    )),
    Group(name="ways", title="Ways to send less", rounds=3, contenders=tuple(
        replace(COURSE, name=way, program="plain", expected_s=13, is_quick=False, **changes)
        for way, changes in WAYS.items()
    )),
    Group(name="links", title="Slow links", rounds=2, contenders=_links()),
    Group(name="ray", title="Ray Train", rounds=3, contenders=(
        replace(COURSE, name="Ray Train", program="ray_train", epochs=2, batch=64, expected_s=38),
        replace(COURSE, name="ours", epochs=2, expected_s=9),
    )),
)  # fmt: skip

over_loop = partial(Comparison, group="ddp-loop", theirs="DDP loop")
LIKE = (
    "same net, batch 64 per rank and fp32: data path, dropout of our own, fused AdamW with a schedule "
    "Adam, no broadcast of buffers"
)
LARGER = "the above, and 512 images per rank instead of 64"
BF16_TOO = "the above, and bf16"
COMPARISONS = (
    over_loop(key="loop-like-for-like", title="training seconds, 5 epochs, like for like", cause=LIKE,
               measure="train_seconds", ours="ours, batch 64, fp32"),
    over_loop(key="loop-fp32", title="training seconds, 5 epochs, fp32", cause=LARGER,
               measure="train_seconds", ours="ours, batch 512, fp32", target=3.5),
    over_loop(key="loop-bf16", title="training seconds, 5 epochs, bf16", cause=BF16_TOO,
               measure="train_seconds", ours="ours, batch 512, bf16", target=4.0),
    over_loop(key="loop-accuracy-fp32", title="test accuracy after these 5 epochs, fp32", cause=LARGER,
               measure="accuracy_points", ours="ours, batch 512, fp32", how="ours - theirs", target=-0.1,
               summary="mean", unit="points"),
    over_loop(key="loop-accuracy-bf16", title="test accuracy after these 5 epochs, bf16", cause=BF16_TOO,
               measure="accuracy_points", ours="ours, batch 512, bf16", how="ours - theirs", target=-0.1,
               summary="mean", unit="points"),
    over_loop(key="loop-98", title="training seconds to 98 % test accuracy",
               cause="mlp-512, 256 images per rank, 3 epochs, bf16; its schedule counts",
               measure="seconds_to_98", ours="mlp-512, batch 256, 3 epochs, bf16", target=8.0),
    over_loop(key="loop-98-same-net", title="training seconds to 98 % test accuracy, same net",
               cause="512 images per rank, 4 epochs, bf16; its schedule counts", measure="seconds_to_98",
               ours="ours, 4 epochs, bf16", target=8.0),
    Comparison(key="loop-workers", group="loaders", title="training seconds of the loop, 2 workers over 0",
               cause="two DataLoader workers per rank, 1 epoch: the loop above has the better of the two, 0",
               measure="train_seconds", ours="DDP loop, 2 workers", theirs="DDP loop, 0 workers",
               how="ours / theirs"),
    over_loop(key="loop-wall", title="the whole process, 5 epochs, fp32", cause=LARGER,
               measure="wall_seconds", ours="ours, batch 512, fp32", target=2.5),
    over_loop(key="loop-wall-bf16", title="the whole process, 5 epochs, bf16", cause=BF16_TOO,
               measure="wall_seconds", ours="ours, batch 512, bf16", target=2.5),
    Comparison(group="ddp-loop", theirs="DDP loop", key="loop-memory", title="peak memory of a rank",
               cause="mapped bytes, no DataLoader; fp32",
               measure="peak_rss_bytes", ours="ours, batch 512, fp32", how="ours / theirs", target=1.0,
               is_upper_bound=True),
    Comparison(key="tutorial-like-for-like", group="tutorial", title="images per second, like for like",
               cause="same net, batch 64, fp32, 2 epochs: data path, 1 thread for 2, nothing logged",
               measure="images_per_second", ours="ours, batch 64", theirs="tutorial",
               or_theirs="tutorial, 2 workers", how="ours / theirs"),
    Comparison(key="tutorial", group="tutorial", title="images per second, each as it comes",
               cause="the above, batch 128 instead of 64 and 5 epochs", measure="images_per_second",
               ours="ours, as it comes", theirs="tutorial", or_theirs="tutorial, 2 workers",
               how="ours / theirs", target=8.0),
    Comparison(key="tutorial-workers", group="tutorial", title="the tutorial with two DataLoader workers",
               cause="workers=2 against workers=0", measure="images_per_second", ours="tutorial, 2 workers",
               theirs="tutorial", how="ours / theirs"),
    Comparison(key="lightning-seconds", group="lightning",
               title="Lightning's training seconds over the plain loop's",
               cause="same net, batch 512, fp32, 1 thread", measure="train_seconds", ours="Lightning",
               theirs="plain loop", how="ours / theirs", target=1.10, is_upper_bound=True),
    Comparison(key="lightning-start", group="lightning",
               title="interpreter to first step, over the plain loop's", cause="its imports and its set-up",
               measure="start_seconds", ours="Lightning", theirs="plain loop",
               how="ours / theirs", target=1.3, is_upper_bound=True),
    *(Comparison(key=f"accuracy-{net}", group="accuracy", title=f"{net}, {epochs} epochs, as it comes",
                 cause="one process", measure="accuracy_points", ours=net, how="ours", target=target,
                 summary="mean", unit="%")
      for net, epochs, target in (("mlp-512", 3, 98.2), ("mlp-512-256-128", 5, 98.3), ("lenet", 2, 99.0))),
    Comparison(key="ranks", group="ranks", title="images per second of 2 x 1 over 1 x 1",
               cause="512 images per rank, fp32, plain loop", measure="images_per_second",
               ours="2 x 1, batch 512", theirs="1 x 1, batch 512", how="ours / theirs", target=1.3),
    *(Comparison(key=f"links-{way}-{link}".replace(" ", "-").replace("/s", "").lower(), group="links",
                 title=f"step time of DDP over that of {way}, {link}", cause="bytes sent per step",
                 measure="step_ms", ours=f"{way}, {link}", theirs=f"DDP, {link}")
      for link in LINKS for way in list(WAYS)[1:]),
    *(Comparison(key=f"ways-{way}".replace(" ", "-").lower(), group="ways",
                 title=f"test accuracy of {way} against DDP",
                 cause="5 epochs, loopback: a link changes no bit", measure="accuracy_points", ours=way,
                 theirs="DDP", how="ours - theirs", summary="mean", unit="points")
      for way in list(WAYS)[1:]),
    Comparison(key="ray", group="ray", title="training seconds, 2 epochs, Ray Train over ours",
               cause="batch 512 instead of 64, fp32", measure="train_seconds", ours="ours",
               theirs="Ray Train"),
    Comparison(key="ray-wall", group="ray", title="the whole process, Ray Train over ours",
               cause="starting Ray, batch 512", measure="wall_seconds", ours="ours", theirs="Ray Train"),
)  # fmt: skip
