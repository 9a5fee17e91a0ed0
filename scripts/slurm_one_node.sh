#!/usr/bin/env bash
# A SLURM cluster of this one machine, with accounting, to try hydra/launcher=slurm on. Needs root on
# Debian or Ubuntu, no systemd; everything it writes lies in one directory.
#
#   apt-get install --no-install-recommends slurm-wlm slurmdbd munge mariadb-server
#   scripts/slurm_one_node.sh up DIR
#   export SLURM_CONF=DIR/slurm.conf
#   python -m benchmark --multirun hydra/launcher=slurm hydra.launcher.cpus_per_task=1 seed=0,1
#   scripts/slurm_one_node.sh down DIR
#
# The accounting is not optional: without it submitit waits for ever for a job that was killed.
set -euo pipefail

usage() { echo "usage: $0 up|down DIR" >&2; exit 2; }
[ $# -eq 2 ] || usage
action=$1
dir=$(realpath -m "$2")
host=$(hostname -s)
database_port=${SLURM_DATABASE_PORT:-33306}

start() {  # NAME COMMAND...: run a daemon in the background and note its id for `down`
  local name=$1; shift
  "$@" >"$dir/log/$name.out" 2>&1 &
  echo "$! $name" >>"$dir/pids"
}

until_works() {  # NAME COMMAND...: try a command for thirty seconds
  local name=$1; shift
  for _ in $(seq 60); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.5
  done
  echo "error: $name did not start; see $dir/log" >&2
  exit 1
}

munge_works() { munge -n | unmunge; }
sql() { mariadb --socket="$dir/database.sock" --user=root "$@"; }
node_is_idle() { sinfo --noheader --format=%t | grep -qx idle; }

write_configuration() {
  cat >"$dir/slurmdbd.conf" <<EOF
AuthType=auth/munge
DbdHost=$host
DbdAddr=127.0.0.1
SlurmUser=root
LogFile=$dir/log/slurmdbd.log
PidFile=$dir/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$database_port
StorageUser=slurm
StoragePass=local
StorageLoc=slurm_accounting
EOF
  chmod 600 "$dir/slurmdbd.conf"
  cat >"$dir/slurm.conf" <<EOF
ClusterName=onenode
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
ReturnToService=2
KillWait=30
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmdSpoolDir=$dir/spool
StateSaveLocation=$dir/state
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(free --mega | awk '/^Mem:/ {print int($2 * 0.9)}')
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
}

up() {
  [ "$(id -u)" -eq 0 ] || { echo "error: the daemons of SLURM need root" >&2; exit 1; }
  for program in slurmctld slurmd slurmdbd munged mariadbd; do
    command -v $program >/dev/null || { echo "error: $program is not installed: see the head of $0" >&2; exit 1; }
  done
  mkdir -p "$dir"/{log,spool,state}
  : >"$dir/pids"
  write_configuration
  export SLURM_CONF=$dir/slurm.conf

  if ! munge_works >/dev/null 2>&1; then
    install -d -o munge -g munge -m 0755 /run/munge
    start munged setpriv --reuid=munge --regid=munge --clear-groups munged --foreground
    until_works munged munge_works
  fi

  install -d -o mysql -g mysql "$dir/database"
  chmod o+x "$dir"
  if [ ! -d "$dir/database/mysql" ]; then
    mariadb-install-db --user=mysql --datadir="$dir/database" --skip-test-db \
      --auth-root-authentication-method=normal >"$dir/log/database_setup.out" 2>&1
  fi
  install -d -o mysql -g mysql "$dir/database_run"
  ln -sfn "$dir/database_run/socket" "$dir/database.sock"
  start mariadbd setpriv --reuid=mysql --regid=mysql --clear-groups mariadbd --no-defaults \
    --datadir="$dir/database" --socket="$dir/database_run/socket" \
    --pid-file="$dir/database_run/pid" --bind-address=127.0.0.1 --port="$database_port" \
    --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900
  until_works mariadbd sql --execute 'select 1'
  sql --execute "create database if not exists slurm_accounting;
    create user if not exists 'slurm'@'127.0.0.1' identified by 'local';
    create user if not exists 'slurm'@'localhost' identified by 'local';
    grant all on slurm_accounting.* to 'slurm'@'127.0.0.1';
    grant all on slurm_accounting.* to 'slurm'@'localhost';"

  start slurmdbd slurmdbd -D
  until_works slurmdbd sacctmgr --noheader show cluster
  start slurmctld slurmctld -D
  until_works slurmctld bash -c 'scontrol ping | grep -q UP'
  start slurmd slurmd -D
  until_works slurmd node_is_idle
  echo "ready: export SLURM_CONF=$dir/slurm.conf"
}

down() {  # newest first, by the ids that `up` noted
  [ -f "$dir/pids" ] || { echo "error: $dir/pids: nothing was started there" >&2; exit 1; }
  tac "$dir/pids" | while read -r pid name; do
    if kill "$pid" 2>/dev/null; then
      echo "stopping $name"
      for _ in $(seq 20); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
    fi
  done
  rm -f "$dir/pids"
}

case $action in up) up ;; down) down ;; *) usage ;; esac
