# What bash alone does: job control, coprocesses, traps, arrays, /dev/tcp.
# Everything printed is the same from run to run.
set -u
export LC_ALL=C TZ=UTC
unset BASH_ENV

echo "# words"
declare -A colour=([sky]=blue [grass]=green); for k in grass sky; do echo "$k ${colour[$k]}"; done
list=({1..10}); echo "${#list[@]} ${list[*]:2:3} ${list[-1]}"; [[ "abc123" =~ ([a-z]+)([0-9]+) ]] && echo "${BASH_REMATCH[2]}"
mapfile -t lines < <(printf '%s\n' x y z); echo "${lines[@]}"; printf -v padded '%08.3f' 3.14159; echo "$padded"
shopt -s extglob globstar nullglob
mkdir -p g/h; : > g/1.txt; : > g/h/2.txt; echo **/*.txt; echo g/!(h)

echo "# substitutions and pipes"
for ((i = 0; i < 200; i++)); do r=$(echo "$i"); done; echo "$r"
diff <(seq 1 5) <(seq 2 6); echo "status $?"
seq 1 100000 | { n=0; while read -r _; do ((n++)); done; echo "$n lines"; }
cat <<< "a here string" | rev; echo one | tee >(cat > teed) > /dev/null; until [[ -s teed ]]; do :; done; cat teed
(exit 3) | (exit 4) | true; echo "${PIPESTATUS[*]}"
exec {fd}> named; echo "to a named descriptor" >&"$fd"; exec {fd}>&-; cat named

echo "# coprocess"
coproc DOUBLE { while read -r n; do echo $((n * 2)); done; }
child=$DOUBLE_PID
for n in 1 21 50; do echo "$n" >&"${DOUBLE[1]}"; read -r answer <&"${DOUBLE[0]}"; echo "$n -> $answer"; done
eval "exec ${DOUBLE[1]}>&-"; wait "$child"; echo "status $?"

echo "# traps"
trap 'echo "EXIT trap, status $?"' EXIT; trap 'echo USR1 trap' USR1; trap 'echo CHLD >> chld' CHLD
kill -USR1 $$; (exit 0); /bin/true; trap - CHLD; [[ -s chld ]] && echo "CHLD was seen"
trap 'echo "ERR trap line"' ERR; false; trap - ERR
f() { trap 'echo RETURN trap' RETURN; return 6; }; f; echo "status $?"; trap - RETURN
(trap 'echo "sub EXIT"' EXIT; exit 8); echo "status $?"
bash_() { "$BASH" --norc --noprofile "$@"; }
"$BASH" --norc -c 'trap "echo TERM trap; exit 5" TERM; echo ready > up; while :; do read -t 0.05 < <(sleep 1); done' & p=$!
while [[ ! -s up ]]; do sleep 0.02; done; kill $p; wait $p; echo "status $?"
bash_ -c 'kill -SEGV $$' 2> /dev/null; echo "status $?"; bash_ -c 'kill -PIPE $$'; echo "status $?"

echo "# jobs"
set -m
# A child that is killed before it has become `sleep` would run bash's EXIT trap.
asleep() { until [[ $(< /proc/$1/comm) == sleep ]]; do :; done; }
sleep 30 & asleep $!; sleep 31 & asleep $!; jobs > running; cat running; kill %1; wait %1 2> /dev/null; echo "status $?"
kill -STOP %2; wait %2 2> /dev/null; echo "stopped: $?"; jobs -s > stopped; grep -c Stopped stopped
kill -CONT %2; kill -TERM %2; wait %2 2> /dev/null; echo "ended: $?"
set +m
for i in 3 1 2; do (sleep "0.$((i * 25))"; exit "$i") & done; for i in 1 2 3; do wait -n; echo "first to end: $?"; done
wait; (sleep 0.1; echo in the background > disowned) & disown; until [[ -s disowned ]]; do :; done; cat disowned
time_() { local TIMEFORMAT='%0lR'; { time sleep 0.01; } 2>&1 | sed 's/[0-9.]*s$/S/'; }; time_
read -t 0.1 -r x < <(sleep 2); (($? > 128)) && echo "read timed out"
timeout 5 "$BASH" --norc -c 'exec -a renamed "$BASH" --norc -c "echo \$0"'
ulimit -S -n 32; ulimit -S -n; umask 027; : > masked; stat -c %a masked
exec 2> errors; nonesuch; echo "status $?"; cd /none; : > /none/file; exec 2>&1; sed 's/^[^ ]*: line [0-9]*: //' errors
depth() { (( $1 == 0 )) && { echo "bottom"; return; }; depth $(( $1 - 1 )); }; depth 400
wait; echo "# done"; exit 19
