#!/bin/bash
#SBATCH --job-name=census
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --time=02:00:00
#SBATCH --signal=B:INT@120
# One crawl on eight nodes of a cluster; $SCRATCH is a file system that all of them share. Two minutes before its time is
# over the crawl is told to end with a checkpoint: submit again with RESUME=1 to go on.
set -euo pipefail
out=$SCRATCH/census-1
address=$SCRATCH/scheduler-$SLURM_JOB_ID.json

export DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=100
dask scheduler --no-dashboard --scheduler-file "$address" &
srun dask worker --scheduler-file "$address" --nworkers 1 --nthreads 1 --no-dashboard --local-directory "${TMPDIR:-/tmp}" &
until [ -s "$address" ]; do sleep 1; done
scheduler=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$address")

if [ -n "${RESUME:-}" ]; then
    fastdht crawl resume "$out" --scheduler "$scheduler" &
else
    fastdht crawl census --zones 256 --scheduler "$scheduler" --rate 16000 --out "$out" &
fi
crawl=$!
trap 'kill -INT "$crawl"' INT
wait "$crawl" || wait "$crawl"      # the first wait ends with the signal
