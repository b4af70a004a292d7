# grep, sed, awk, diff, patch-like work.
seq 1 200 >n
grep -c 1 n; grep -E '^(1|2)0$' n; grep -n 99 n; grep -v 1 n | head -2; grep -o '[5-7]' n | sort | uniq -c; grep -q nosuch n; echo $?
grep -r root /etc/passwd | cut -d: -f1-4; grep -l 100 n; grep -P '\d{3}' n | tail -1; grep -A1 -B1 '^50$' n; grep -w 7 n
sed -n '5,7p' n; sed 's/1/one/g' n | tail -1; sed '/^1/d' n | wc -l; sed -i.bak '1d' n; head -1 n; head -1 n.bak; sed -e '1i\top' -e '$a\end' n | sed -n '1p;$p'
sed -E 's/(.)(.)/\2\1/' <<<ab; sed 'N;s/\n/+/' <<<$'a\nb'; sed 'y/abc/xyz/' <<<cab
awk '{s += $1} END {print s}' n; awk -F: '$3 == 0 {print $1}' /etc/passwd; awk 'BEGIN {printf "%.3f %s\n", 4 * atan2(1, 1), toupper("x")}'
awk '{a[$1 % 3]++} END {for (i = 0; i < 3; i++) print i, a[i]}' n; awk 'NR % 50 == 0' n; echo 'a,b;c' | awk -F'[,;]' '{print $3, NF}'
awk 'BEGIN {while (("seq 3" | getline x) > 0) print "got", x; print "out" | "cat"; close("cat"); print system("exit 3")}'
cp n o; sed -i 's/^7$/seven/' o; diff n o; diff -u n o | tail -n +3; diff -q n o >/dev/null; echo "diff $?"; diff -r /etc/apt /etc/apt && echo equal
sort -k2 -t, <<<$'b,1\na,2\nc,0'; sort -u <<<$'b\na\nb'; sort --parallel=2 -n <(seq 50000 -1 1) | md5sum; sort -c n 2>/dev/null; echo $?
column -t <<<$'a bb\nccc d' 2>/dev/null || true; cmp n o | sed 's/, line.*//'; tr -d '\n' <n | wc -c; rev <<<abc
