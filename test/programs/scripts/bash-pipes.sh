# Pipelines, their statuses, process substitution, SIGPIPE.
seq 1 1000 | grep 7 | sort -rn | head -5
false | true; echo "status ${PIPESTATUS[*]}"
set -o pipefail; false | true; echo "pipefail $?"; set +o pipefail
yes | head -100000 | wc -c; echo "yes ${PIPESTATUS[0]}"
diff <(seq 1 5) <(seq 2 6); echo "diff $?"
seq 1 100 | tee >(wc -l >count) | tail -1; while [ ! -s count ]; do sleep 0.01; done; cat count
echo one | { read -r a; echo "got $a"; }
seq 5 | while read -r n; do echo $((n * n)); done | paste -sd+ | bc 2>/dev/null || echo 'no bc'
head -c 300000 /dev/zero | tr '\0' x | cat | cat | cat | md5sum
mkfifo p; (echo through fifo >p &) ; cat p
coproc cat; echo hello >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "coproc $line"
for i in $(seq 50); do echo "$i" | cat; done | md5sum
