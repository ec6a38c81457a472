"""Train with Ray Train: a process per GPU, anywhere in a Ray cluster.

    pip install 'ray[train]' typer
    python examples/ray_train.py --workers 8 --workspace /shared/data --model vit-b-32

Ray forms the process group and the trainer joins it; everything else is `curate train`. The
workspace has to be a folder that all machines see, or a URL. A worker that is lost fails the run
and Ray begins it again; it goes on from the newest checkpoint.
"""

from typing import Annotated, Any

import typer

from curate.pipelines.executor.stopping import stop_on_sigterm
from curate.pipelines.store.workspace import Workspace
from curate.pipelines.train.stage import TrainExtras, train_model
from curate.training.loop.config import StepOptions, TrainConfig


def train_worker(arguments: dict[str, Any]) -> None:
    """Be one of the processes that train: Ray calls this on every worker."""
    import ray.train

    place = Workspace(arguments["workspace"])
    with stop_on_sigterm():
        card = train_model(
            shards=f"{place.balanced}/shards",
            output=place.run(arguments["name"]),
            model=arguments["model"],
            config=TrainConfig(
                steps=arguments["steps"],
                batch_size=arguments["batch_size"],
                checkpoint_minutes=15,
            ),
            options=StepOptions(sharding=arguments["sharding"]),
            extras=TrainExtras(datacard=f"{place.balanced}/datacard.json", balanced=place.balanced),
            device="cuda" if arguments["gpus"] else "cpu",
        )
    ray.train.report({"final_loss": card.get("final_loss")})


def main(
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    workspace: Annotated[str, typer.Option(help="Folder or URL that all workers see.")] = "data",
    name: Annotated[str, typer.Option(help="Of the run.")] = "clip",
    model: Annotated[str, typer.Option(help="Name or JSON file.")] = "vit-b-32",
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 1000,
    batch_size: Annotated[int, typer.Option(help="Pairs per step, of all workers.")] = 4096,
    sharding: Annotated[str, typer.Option(help="ddp or fsdp.")] = "ddp",
    gpus: Annotated[bool, typer.Option("--gpus/--no-gpus", help="A GPU for each.")] = True,
    attempts: Annotated[int, typer.Option(help="Times to begin again.")] = 3,
) -> None:
    """Start the workers and wait for the run."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    arguments = {"workspace": workspace, "name": name, "model": model, "steps": steps,
                 "batch_size": batch_size, "sharding": sharding, "gpus": gpus}  # fmt: skip
    result = TorchTrainer(
        train_worker,
        train_loop_config=arguments,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=RunConfig(name=name, failure_config=FailureConfig(max_failures=attempts)),
    ).fit()
    print(f"{Workspace(workspace).run(name)}: {result.metrics}")


if __name__ == "__main__":
    typer.run(main)
