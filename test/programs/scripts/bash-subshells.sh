# Subshells, functions, variables, substitution.
# expect: 42
x=1; (x=2; echo "in $x"); echo "out $x"
f() { local x=3; echo "f $x $1"; return 4; }; f arg; echo "status $?"
echo "$(echo nested "$(echo deeper "$(echo deepest)")")"
(cd / && pwd); [ "$(pwd)" = "$OLDPWD" ] || echo 'still home'
( ( ( exit 7 ) ) ); echo "deep $?"
a=(one two "three four"); echo "${#a[@]} ${a[2]} ${a[@]:1}"
declare -A m=([k]=v [l]=w); echo "${m[k]}${m[l]}"
s=hello.tar.gz; echo "${s%%.*} ${s##*.} ${s/l/L} ${s^^} ${#s}"
echo $((2 ** 10 + 7 % 3)) $((0x1f)) $((1 << 20))
[[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo "${BASH_REMATCH[1]}-${BASH_REMATCH[2]}"
case foo in f*) echo matched;; esac
for ((i = 0; i < 3; i++)); do printf '%02d ' "$i"; done; echo
printf '%s\n' {a..e}{1..2} | tr '\n' ' '; echo
set -- a b c; shift; echo "$# $*"
while getopts 'ab:' o -a -b val; do echo "opt $o ${OPTARG:-}"; done
exec 3>out; echo to three >&3; exec 3>&-; cat out
exec 4<out; read -r l <&4; echo "read $l"; exec 4<&-
echo err >&2 2>/dev/null; ls /nonexistent 2>&1 | sed 's/.*: //'
umask 027; touch u; stat -c %a u
ulimit -n 100; ulimit -n
type -t cd ls f; command -v nosuch || echo none
( exec -a renamed bash -c 'echo $0' )
eval 'echo evaluated'; source /dev/stdin <<<'echo sourced'
exit 42
