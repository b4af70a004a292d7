# Traps and signals between shells.
# expect: 5
trap 'echo usr1' USR1; kill -USR1 $$; echo after
trap 'echo term; exit 5' TERM
(trap 'echo child exit' EXIT; exit 3); echo "sub $?"
sleep 30 & p=$!; kill $p; wait $p; echo "killed $?"
sleep 30 & p=$!; kill -9 $p; wait $p; echo "killed $?"
bash -c 'kill -SEGV $$'; echo "segv $?"
bash -c 'kill -INT $$'; echo "int $?"
bash -c 'trap "" HUP; kill -HUP $$; echo survived'
(trap 'echo got term; exit 9' TERM; while :; do sleep 0.05; done) & p=$!; sleep 0.3; kill -TERM $p; wait $p; echo "loop $?"
trap 'echo err at $?' ERR; false; trap - ERR
trap 'echo debug' DEBUG; :; trap - DEBUG
trap 'echo bye' EXIT
trap
timeout 0.2 sleep 10; echo "timeout $?"
timeout -s KILL 0.2 sleep 10; echo "timeout kill $?"
kill -TERM $$
echo not reached
