# Job control in a script: groups, stop, continue, fg without a terminal.
# needs: ps
set -m
sleep 30 & p=$!
[ "$(ps -o pgid= -p $p | tr -d ' ')" = "$p" ] && echo own group
kill -STOP $p; sleep 0.2; jobs | sed 's/[0-9]\{3,\}//'
ps -o stat= -p $p | cut -c1
kill -CONT $p; sleep 0.2; ps -o stat= -p $p | cut -c1
kill $p; wait $p; echo "status $?"
(sleep 30 | sleep 30) & p=$!; sleep 0.2; kill -TERM -- -$p; wait $p; echo "group $?"
bash -c 'kill -TSTP $$; echo resumed' & p=$!
sleep 0.3; ps -o stat= -p $p | cut -c1; kill -CONT $p; wait -f $p; echo ended
set +m
sleep 30 & p=$!; [ "$(ps -o pgid= -p $p | tr -d ' ')" = "$p" ] || echo not own group
kill $p
