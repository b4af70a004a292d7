# Background jobs, wait in its forms, many children.
(sleep 0.1; exit 3) & a=$!; (exit 4) & b=$!
wait $a; echo "a $?"; wait $b; echo "b $?"
for i in 1 2 3; do (exit $i) & done; wait; echo "all $?"
(sleep 0.2; exit 9) & fast=$!; sleep 5 & slow=$!; wait -n $fast $slow; echo "first $?"; kill $slow; wait $slow; echo "slow $?"
for i in $(seq 40); do (echo "$i" >"job$i") & done; wait; ls job* | wc -l; cat job* | sort -n | md5sum
wait 99999; echo "stranger $?"
sleep 5 & disown; echo disowned; kill %1 2>/dev/null; kill $!
x=$(sleep 0.1 & echo substitution); echo "$x"
nohup true >/dev/null 2>&1; echo "nohup $?"
(sleep 0.1; echo late) & wait $!; echo end
