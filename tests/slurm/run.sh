#!/bin/bash
# Starts a Slurm of one host, runs sweeps/regions.yaml on tiny data through it, and stops it again; see docs/how-to/sweeps.md.
# Needs Debian's slurmctld, slurmd, slurm-client and munge, which root gets by itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
if ! command -v slurmctld slurmd srun munged > /dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge > /dev/null
fi

WORK=$(mktemp -d)
export SLURM_CONF=$WORK/slurm.conf
host=$(hostname -s)
dd if=/dev/urandom of="$WORK/munge.key" bs=1024 count=1 status=none
chmod 400 "$WORK/munge.key"
mkdir "$WORK/state" "$WORK/spool"
# Four processors, so that two jobs and a job of two tasks find room on any machine.
cat > "$SLURM_CONF" << CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$WORK/munge.socket
StateSaveLocation=$WORK/state
SlurmdSpoolDir=$WORK/spool
SlurmctldPidFile=$WORK/slurmctld.pid
SlurmdPidFile=$WORK/slurmd.pid
SlurmctldLogFile=$WORK/slurmctld.log
SlurmdLogFile=$WORK/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
KillWait=5
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF

stop() {
    for name in slurmctld slurmd munged; do
        [ -f "$WORK/$name.pid" ] && kill "$(cat "$WORK/$name.pid")" 2> /dev/null
    done
    sleep 1
    rm -rf "$WORK"
}
trap stop EXIT

munged --force --key-file="$WORK/munge.key" --socket="$WORK/munge.socket" --pid-file="$WORK/munged.pid" \
    --log-file="$WORK/munged.log" --seed-file="$WORK/munged.seed"
slurmctld
slurmd
for _ in $(seq 30); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && break
    sleep 1
done
sinfo

# One thread: with several, two trainings of the same settings may differ in the last digit, and here they are compared.
OMP_NUM_THREADS=1 PYTHONPATH=$PWD WANDB_MODE=disabled "$PYTHON" tests/slurm/check.py "$WORK" | sed "s#$WORK/##g"
