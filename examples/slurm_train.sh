#!/bin/bash
# Train on the GPUs of several machines of a Slurm cluster: sbatch examples/slurm_train.sh
#
# One task per GPU; the tasks meet at the first machine. The workspace has to be on a disk that all
# machines see. Two minutes before its time is up Slurm sends SIGTERM: every task saves and ends
# with 0, and the job puts itself in the queue again, where it goes on. So the time limit is no
# limit of the run. Options of `curate train` may follow the script's name.
#SBATCH --job-name=curate
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=curate-%j.log
set -euo pipefail

WORKSPACE=${WORKSPACE:-data}
NAME=${NAME:-clip}
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
export MASTER_ADDR
export MASTER_PORT=${MASTER_PORT:-29500}

# What torchrun would set for each process, out of what Slurm sets.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c '
    export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS LOCAL_RANK=$SLURM_LOCALID
    export LOCAL_WORLD_SIZE=$SLURM_NTASKS_PER_NODE
    exec curate train "$@"' train \
    --workspace "$WORKSPACE" --name "$NAME" \
    --model vit-b-16 --steps 390000 --batch-size 32768 \
    --learning-rate 5e-4 --warmup-steps 2000 --weight-decay 0.2 \
    --checkpoint-every 5000 --checkpoint-minutes 30 "$@"

# The model card is written last: without it there are steps left.
if [ ! -f "$WORKSPACE/runs/$NAME/modelcard.json" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
